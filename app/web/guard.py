"""Guard the page's server: check host, origin and login of each request, add security headers.

Pure ASGI, so that streams and WebSockets pass unbuffered. Another web site that is open in the same
browser can neither start, read nor stop anything: the Host must be one of ours (no DNS rebinding),
and whatever changes something must come from our own page (no cross-site request). Guessing a
login is slowed down: wrong ones are counted (app/web/attempts.py).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.web.attempts import Attempts, Try, origin
from backend.contract.system.addresses import is_served

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


@dataclass(frozen=True)
class Refusal:
    """A refusal of the guard; `delay` is in seconds before the answer, `retry` in whole seconds
    until the next try."""

    status: int
    reason: str
    delay: float = 0.0
    retry: int = 0


class Guard:
    """Checks Host, Origin and login of every HTTP request and WebSocket; adds security headers."""

    def __init__(self, app: ASGIApp, settings: Settings, attempts: Attempts | None = None) -> None:
        self.app = app
        self.settings = settings
        self.root = settings.root_path.rstrip("/")
        self.attempts = Attempts() if attempts is None else attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403 or 429."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        bare = scope["path"] == self.root != ""
        scope = self._without_root(scope)
        refusal = self._refusal(scope)
        if refusal is not None:
            await asyncio.sleep(refusal.delay)
            await _refuse(scope, send, refusal)
        elif bare and scope["type"] == "http":
            await self._to_folder(scope, send)
        else:
            await self.app(scope, receive, _with_headers(send))

    async def _to_folder(self, scope: Scope, send: Send) -> None:
        """Redirect /some/path to /some/path/, with which the page's own addresses begin."""
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        place = self.root.rpartition("/")[2].encode() + b"/" + query
        headers = [(b"location", place), *HEADERS]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body"})

    def _without_root(self, scope: Scope) -> Scope:
        """The request without the proxy's prefix. A proxy may pass the path with or without it."""
        path: str = scope["path"]
        if self.root and (path + "/").startswith(self.root + "/"):
            path = path.removeprefix(self.root) or "/"
            return {**scope, "path": path, "raw_path": path.encode()}
        return scope

    def _refusal(self, scope: Scope) -> Refusal | None:
        hosts = _header(scope, b"host")
        named = self.settings.allowed_hosts
        if not is_served(hosts, self.settings.host, named, self._has_unknown_names()):
            return Refusal(403, "This address is not one that the page is served on.")
        if not self._same_site(scope, hosts[0]):
            return Refusal(403, "Requests from another site are refused.")
        if self.settings.login and scope["path"] not in OPEN_PATHS:
            return self._stranger(scope)
        return None

    def _has_unknown_names(self) -> bool:
        """Whether other names lead to the page: behind a proxy, or with a login where others reach
        it. Where names are given, they are all."""
        protected = self.settings.exposed and bool(self.settings.login)
        return not self.settings.allowed_hosts and (bool(self.root) or protected)

    def _same_site(self, scope: Scope, host: str) -> bool:
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return not (
                scope["path"].startswith("/gradio_api/")
                and _header(scope, b"sec-fetch-site") == ["cross-site"]
            )
        if any(site not in {"same-origin", "none"} for site in _header(scope, b"sec-fetch-site")):
            return False
        return all(urlsplit(origin).netloc == host for origin in _header(scope, b"origin"))

    def _stranger(self, scope: Scope) -> Refusal | None:
        """The refusal of a request without the right login. A browser's first one has none."""
        header = "".join(_header(scope, b"authorization"))
        if not header:
            return Refusal(401, "Login needed.")
        login = _login_of(header)
        who = Try(self._origin(scope), login.partition(b":")[0].decode("utf-8", "replace"))
        retry = self.attempts.blocked_seconds(who)
        if retry:
            return Refusal(429, "Too many wrong logins. Try again later.", retry=retry)
        if _equal(login, self.settings.login.encode()):
            self.attempts.forget(who)
            return None
        return Refusal(401, "Login needed.", delay=self.attempts.add(who))

    def _origin(self, scope: Scope) -> str:
        peer = (scope.get("client") or ("",))[0]
        forwarded = ",".join(_header(scope, b"x-forwarded-for"))
        return origin(peer, forwarded, self.settings.trusted_proxies)


def _login_of(header: str) -> bytes:
    """The user:password of an Authorization header; b"" for any other form."""
    scheme, _, token = header.partition(" ")
    try:
        return base64.b64decode(token, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _equal(left: bytes, right: bytes) -> bool:
    """Compare in constant time, which does not even depend on the length."""
    return hmac.compare_digest(hashlib.sha256(left).digest(), hashlib.sha256(right).digest())


def _header(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = [(name, value) for name, value in HEADERS if name not in present]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return send_with_headers


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Tuneboard", charset="UTF-8"'))
    if refusal.retry:
        headers.append((b"retry-after", b"%d" % refusal.retry))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.reason.encode()})
