"""Check access to the server, and the headers of a request, before any handler runs.

Against DNS rebinding: the Host header must name this machine. Against other sites' forms: a body
must be declared as JSON, which a browser never sends across origins without asking first.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from backend.contract.system.addresses import EVERY, is_served
from backend.serving.protocol import ApiError

MAX_BODY = 10 * 1024 * 1024
OPEN_PATHS = frozenset({"/health"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware that checks Host header, bearer key, content type and size."""

    def __init__(self, app: App, *, host: str, key: str | None) -> None:
        self._app = app
        self._host = host
        # A server on every address can have any host name: then only the key is checked.
        self._any_host = host in EVERY
        self._key = key.encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with an error in OpenAI's format."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ApiError as error:
            await _refuse(error, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if not is_served(hosts, self._host, (), self._any_host):
            raise ApiError(403 if len(hosts) == 1 else 400, "bad_host")
        if scope["path"] not in OPEN_PATHS:
            self._check_key([value for name, value in headers if name == b"authorization"])
        by_name = dict(headers)
        kind = by_name.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if scope["method"] == "POST" and kind != b"application/json":
            raise ApiError(415, "not_json")
        length = by_name.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            raise ApiError(413, "body_too_large", limit=MAX_BODY)

    def _check_key(self, credentials: list[bytes]) -> None:
        if self._key is None:
            return
        scheme, _, key = (credentials[0] if len(credentials) == 1 else b"").partition(b" ")
        if scheme.lower() != b"bearer" or not secrets.compare_digest(key.strip(), self._key):
            raise ApiError(401, "invalid_api_key")


async def _refuse(error: ApiError, send: Send) -> None:
    body = json.dumps(error.body()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
