"""The outermost layer of the page's server: who may ask, from which page, and what headers go back.

Pure ASGI, so that streams and WebSockets pass unbuffered. Another web site that is open in the same
browser can neither start, read nor stop anything: the Host must be one of ours (no DNS rebinding),
and whatever changes something must come from our own page (no cross-site request).
"""

import base64
import binascii
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import LOOPBACK, Settings

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OPEN_PATHS = {"/healthz"}
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"connect-src 'self' blob: data:; worker-src 'self' blob:; frame-ancestors 'self'; "
        b"object-src 'none'; base-uri 'self'; form-action 'self'",
    ),
)


class Guard:
    """Checks Host, Origin and login of every HTTP request and WebSocket; adds security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.root = settings.root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 401 or 403 at once."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        scope = self._without_root(scope)
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        else:
            await _refuse(scope, send, *refusal)

    def _without_root(self, scope: Scope) -> Scope:
        """A proxy may pass the path with its own prefix; both forms reach the same page."""
        path: str = scope["path"]
        if self.root and (path + "/").startswith(self.root + "/"):
            path = path.removeprefix(self.root) or "/"
            return {**scope, "path": path, "raw_path": path.encode()}
        return scope

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or not self._host_allowed(hosts[0]):
            return 403, "This address is not one that the page is served on."
        if not self._same_site(scope, hosts[0]):
            return 403, "Requests from another site are refused."
        if self.settings.login and scope["path"] not in OPEN_PATHS and not self._known(scope):
            return 401, "Login needed."
        return None

    def _host_allowed(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname
        if name is None or host != host.strip() or any(mark in host for mark in "@/?# "):
            return False
        if name in LOOPBACK or name in self.settings.allowed_hosts:
            return True
        # Behind a proxy, or bound to every address with a login, the names cannot be known.
        open_names = bool(self.root) or (self.settings.exposed and bool(self.settings.login))
        return name == self.settings.host or (open_names and not self.settings.allowed_hosts)

    def _same_site(self, scope: Scope, host: str) -> bool:
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return not (
                scope["path"].startswith("/gradio_api/")
                and _header(scope, b"sec-fetch-site") == ["cross-site"]
            )
        if any(site not in {"same-origin", "none"} for site in _header(scope, b"sec-fetch-site")):
            return False
        return all(urlsplit(origin).netloc == host for origin in _header(scope, b"origin"))

    def _known(self, scope: Scope) -> bool:
        given = "".join(_header(scope, b"authorization"))
        scheme, _, token = given.partition(" ")
        try:
            login = base64.b64decode(token, validate=True) if scheme.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            login = b""
        return secrets.compare_digest(login, self.settings.login.encode())


def _header(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = [(name, value) for name, value in HEADERS if name not in present]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return wrapped


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Tuneboard", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
