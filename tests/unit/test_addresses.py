"""What a Host header names, and which names are this machine's: one rule for page and server."""

import pytest

from backend.contract.system.addresses import host_name, is_loopback


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:7860", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:8000", "::1"),
        ("10.0.0.5:80", "10.0.0.5"),
        ("", ""),
        ("localhost:port", ""),
        (" localhost", ""),
        ("user@localhost", ""),
        ("localhost/path", ""),
        ("::1", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


def test_names_of_this_machine() -> None:
    """127.0.0.0/8 and ::1 (RFC 1122, RFC 4291); a name that only begins like one is a stranger."""
    for name in ("localhost", "Localhost", "127.0.0.1", "127.8.9.10", "::1"):
        assert is_loopback(name), name
    for name in ("127.example.org", "localhost.example.org", "0.0.0.0", "::", "10.0.0.1", ""):
        assert not is_loopback(name), name
