"""What a Host header names, and which names are this machine's: one rule for page and server."""

import pytest

from backend.contract.system.addresses import host_name, is_loopback, is_served


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


@pytest.mark.parametrize(
    ("headers", "bound", "also", "any_name", "served"),
    [
        (["localhost:7860"], "127.0.0.1", [], False, True),
        (["[::1]:7860"], "127.0.0.1", [], False, True),
        (["evil.example"], "127.0.0.1", [], False, False),
        (["evil.example"], "127.0.0.1", [], True, True),
        (["GPU-Box:7860"], "gpu-box", [], False, True),
        (["gpu-box:7860"], "GPU-Box", [], False, True),
        (["box.lan"], "0.0.0.0", ["box.lan"], False, True),
        (["other.lan"], "0.0.0.0", ["box.lan"], False, False),
        ([], "127.0.0.1", [], True, False),
        (["localhost", "localhost"], "127.0.0.1", [], True, False),
        (["user@localhost"], "127.0.0.1", [], True, False),
        ([""], "", [""], False, False),
    ],
)
def test_the_hosts_that_page_and_server_answer_for(
    headers: list[str], bound: str, also: list[str], any_name: bool, served: bool
) -> None:
    """Each had a rule of its own once, and a malformed header passed one of them."""
    assert is_served(headers, bound, also, any_name) is served
