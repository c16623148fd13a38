"""Addresses of HTTP servers: recognize them, take their host name, remove their secrets."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

EVERY = frozenset({"0.0.0.0", "::"})  # bound to one of these, a server answers at every address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server under a name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, in small letters, without port and brackets; "" where the header
    is malformed."""
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]@/?#\s]+)(:\d+)?", header.lower())
    return match[1].strip("[]") if match else ""


def is_served(headers: Sequence[str], bound: str, also: Collection[str], any_name: bool) -> bool:
    """Whether a request with these Host headers is meant for a server of this machine.

    There must be one header with a name (RFC 9112): a loopback name, the name or address that the
    server is bound to, or one of `also`. With `any_name` every name will do, because those that
    lead here are not known. Another web site whose name was made to lead here (DNS rebinding) is
    refused by this.
    """
    name = host_name(headers[0]) if len(headers) == 1 else ""
    if not name:
        return False
    return any_name or is_loopback(name) or name == bound.lower() or name in also


def is_address(text: str) -> bool:
    """Whether a text is the address of an HTTP server."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def redact(address: str) -> str:
    """The address without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(address)
    place = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{place}{parts.path}"
