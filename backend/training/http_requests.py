"""HTTP requests to a server that a training uses, repeated where it is busy or not there."""

import logging
import time
from typing import TYPE_CHECKING, Any

from backend.contract.system.addresses import is_loopback

if TYPE_CHECKING:  # few runs ask a server, and it imports a command line with colours
    import httpx

TIMEOUT = 60.0  # seconds for one request
WAITS = (1.0, 3.0, 9.0)  # seconds before each further try
SHOWN = 200  # characters of an answer that refuses

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each request


class RequestError(Exception):
    """A server refused, or was busy or unreachable at the last try; the text says why."""


def post(address: str, body: dict[str, Any], key: str = "") -> "httpx.Response":
    """Post a JSON body and return the response. Raises RequestError."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    for wait in (*WAITS, None):
        try:
            reply = httpx.post(
                address,
                json=body,
                headers=headers,
                timeout=TIMEOUT,
                trust_env=not _is_local(address),
            )
            return reply.raise_for_status()
        except httpx.HTTPError as error:
            if wait is None or not _is_transient(error):
                raise RequestError(_reason(error)) from error
            time.sleep(wait)
    raise AssertionError


def _reason(error: "httpx.HTTPError") -> str:
    """Say on one line why a request failed, with the server's own text; a key reads ***."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        words = " ".join(error.response.text.split())
        key = error.request.headers.get("Authorization", "").removeprefix("Bearer ")
        words = words.replace(key, "***") if key else words
        return f"HTTP {error.response.status_code} {words[:SHOWN]}".strip()
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SHOWN]}"


def _is_transient(error: "httpx.HTTPError") -> bool:
    """Whether trying again may help: the server is busy or not there, but did not refuse."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


def _is_local(address: str) -> bool:
    """Whether a server runs on this machine: a proxy has no part in that."""
    import httpx

    return is_loopback(httpx.URL(address).host)
