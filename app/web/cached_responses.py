"""Answers that stay the same while the server runs, made once: the page, its scripts and styles.

Gradio (6.31) copies its whole configuration for each `GET /`, and compresses each script anew.
"""

import gzip
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNCHANGING = re.compile(r"/|/theme\.css|/(assets|static)/.+|/own/browser/[\w.-]+")
# What are other texts in each language.
IN_WORDS = re.compile(r"/own/(form/\w[\w-]*|components\.json)\?lang=[A-Za-z-]+")
HASHED = re.compile(r"/assets/.+")  # whose names change with their content
SMALL = 1000  # bytes that are not worth compressing
MOST_BYTES = 64 * 1024**2  # of all answers
# What the page says of its own address (`root`), behind a proxy too, follows from these.
ADDRESS = ("host", "x-forwarded-host", "x-forwarded-proto")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A whole answer: `content` as it is sent, compressed as `encoding` says ("" for not)."""

    content: bytes
    media_type: str
    encoding: str
    stamp: str
    keeping: str


class CachedResponses:
    """Passes requests on, and remembers the answers that do not change."""

    def __init__(self, app: ASGIApp, edit: Callable[[bytes], bytes]) -> None:
        """`edit` is what is done to the HTML of the page."""
        self.app = app
        self.edit = edit
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._size = 0  # bytes of all of them

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, from memory where that is known."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        target = _target(scope)
        if scope.get("method") != "GET" or "range" in headers or not target:
            await self.app(scope, receive, send)
            return
        key = _key(scope, target, headers)
        if key not in self._answers:
            response = _Response()
            await self.app(_plain(scope, target, headers), receive, response.take)
            if not response.is_whole:
                await response.pass_on(send)
                return
            self._remember(key, self._finish(response, target, headers))
        self._answers.move_to_end(key)
        await _send(self._answers[key], headers, send)

    def _remember(self, key: Key, answer: Answer) -> None:
        """Remember an answer; the one that was asked for longest ago makes room."""
        before = self._answers.pop(key, None)  # of a request at the same time
        self._answers[key] = answer
        self._size += len(answer.content) - (len(before.content) if before else 0)
        while self._size > MOST_BYTES and len(self._answers) > 1:
            _, oldest = self._answers.popitem(last=False)
            self._size -= len(oldest.content)

    def _finish(self, response: "_Response", target: str, headers: Headers) -> Answer:
        content, encoding = response.body, response.headers.get("content-encoding", "")
        if target == "/":
            content = self.edit(content)
        if not encoding and len(content) > SMALL and "gzip" in headers.get("accept-encoding", ""):
            content, encoding = gzip.compress(content, mtime=0), "gzip"
        stamp = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        forever = "private, max-age=31536000, immutable"
        keeping = forever if HASHED.fullmatch(target) else "no-cache"
        return Answer(content, response.headers["content-type"], encoding, stamp, keeping)


class _Response:
    """The messages of an answer."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def take(self, message: Message) -> None:
        if message["type"] in {"http.response.start", "http.response.body"}:
            self.messages.append(message)

    @property
    def headers(self) -> Headers:
        return Headers(raw=self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_whole(self) -> bool:
        """Whether it is one to remember: a success, for everybody alike."""
        return (
            len(self.messages) > 1
            and self.messages[0]["status"] == 200
            and "set-cookie" not in self.headers
        )

    async def pass_on(self, send: Send) -> None:
        for message in self.messages:
            await send(message)


def _target(scope: Scope) -> str:
    """What is asked for, where that never changes; else "". A query counts only where it chooses
    the language: another that Gradio knows would get another page, or an error."""
    path = str(scope.get("path", ""))
    if UNCHANGING.fullmatch(path):
        return path
    whole = f"{path}?{scope.get('query_string', b'').decode('latin-1')}"
    return whole if IN_WORDS.fullmatch(whole) else ""


def _key(scope: Scope, target: str, headers: Headers) -> Key:
    """What an answer depends on: the target and the encoding, and for the page its address."""
    codings = headers.get("accept-encoding", "")
    coding = next((name for name in ("br", "gzip") if name in codings), "")
    if target != "/":
        return (target, coding)
    address = [headers.get(name, "") for name in ADDRESS]
    return (target, coding, str(scope.get("scheme")), str(scope.get("root_path")), *address)


def _plain(scope: Scope, target: str, headers: Headers) -> Scope:
    """The request for the whole of a target. The page comes uncompressed, as it is edited."""
    codings = headers.get("accept-encoding", "")
    encoding = b"br" if target != "/" and "br" in codings else b"identity"
    dropped = {b"accept-encoding", b"if-none-match", b"if-modified-since"}
    others = [(name, value) for name, value in scope["headers"] if name.lower() not in dropped]
    query = target.partition("?")[2].encode()
    return {**scope, "query_string": query, "headers": [*others, (b"accept-encoding", encoding)]}


async def _send(answer: Answer, headers: Headers, send: Send) -> None:
    named = {
        "etag": answer.stamp,
        "cache-control": answer.keeping,
        "content-type": answer.media_type,
        "vary": "accept-encoding",
    }
    is_known = headers.get("if-none-match") == answer.stamp
    if not is_known:
        named["content-length"] = str(len(answer.content))
        if answer.encoding:
            named["content-encoding"] = answer.encoding
    raw = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    status = 304 if is_known else 200
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if is_known else answer.content})
