"""Addresses of HTTP servers: whether a text is one, whose it is, and how it may be told."""

import ipaddress
import re
from urllib.parse import urlsplit

EVERY = frozenset({"0.0.0.0", "::"})  # what a server binds to that is reached under each address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server under a name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, in small letters, without port and brackets; "" for what no
    browser sends."""
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
    """An address as it may be told: without what may be secret in it."""
    parts = urlsplit(address)
    place = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{place}{parts.path}"
