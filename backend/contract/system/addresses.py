"""Addresses of HTTP servers: recognize them, take their host name, remove their secrets."""

import ipaddress
import re
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
