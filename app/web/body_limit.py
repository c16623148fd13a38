"""Limit the bodies of requests: their size before and while they are read, and their pauses.

Gradio limits each file, but reads a declared 10 GB to its end, waits without limit for a slow
sender, answers 500 to a malformed form, and leaves the temporary file of an aborted upload.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from python_multipart.exceptions import FormParserError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD = "/gradio_api/upload"
FORM = 1024**2  # bytes of a multipart form in addition to its files
OTHER = 64 * 1024**2  # bytes of any other request
IDLE_S = 30.0
CLOSE = (b"connection", b"close")

Refusal = tuple[int, str]
TOO_LARGE: Refusal = (413, "This is larger than what may be uploaded here.")
NO_ROOM: Refusal = (507, "There is not enough room on the disk for this upload.")
STALLED: Refusal = (408, "Nothing came for too long.")
BAD_LENGTH: Refusal = (400, "The length of the request is no number.")
NO_FORM: Refusal = (400, "This is no form with files.")
FAILED: Refusal = (500, "The upload failed.")
# What Gradio raises for a boundary without an end, or a field that is no file.
NO_FORM_ERRORS = (FormParserError, AttributeError, LookupError, TypeError)


class BodyLimit:
    """Passes requests with small enough bodies, and refuses others with 4xx or 507."""

    def __init__(self, app: ASGIApp, max_upload: int, folder: Callable[[], Path | None]) -> None:
        """`max_upload` is in bytes; `folder` returns the folder of uploads, or None."""
        self.app = app
        self.max_upload = max_upload
        self.folder = folder
        self._uploads = 0  # in progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its body."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        upload = scope["path"].rstrip("/") == UPLOAD
        limit = self.max_upload + FORM if upload else OTHER
        refusal = self._refusal(scope, limit, upload)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        if upload:
            await self._upload(_Upload(receive, send, limit), scope)
        else:
            await _Body(receive, send, limit).run(self.app, scope)

    async def _upload(self, body: "_Upload", scope: Scope) -> None:
        """Pass an upload on, then remove what an aborted one has left.

        Gradio moves each whole file into a subfolder. Once no upload is in progress, each file that
        is directly in the folder for uploads is part of an aborted one.
        """
        self._uploads += 1
        try:
            await body.run(self.app, scope)
        finally:
            self._uploads -= 1
            folder = self.folder()
            for path in folder.iterdir() if folder and not self._uploads else ():
                if path.is_file():
                    path.unlink(missing_ok=True)

    def _refusal(self, scope: Scope, limit: int, upload: bool) -> Refusal | None:
        """The refusal that follows from the headers, or None."""
        lengths = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
        if not lengths:
            return None
        if not lengths[0].isdigit() or len(lengths[0]) > 20:
            return BAD_LENGTH
        length = int(lengths[0])
        if length > limit:
            return TOO_LARGE
        folder = self.folder() if upload else None
        full = folder is not None and shutil.disk_usage(folder).free < length
        return NO_ROOM if full else None


class _Body:
    """The body of one request, refused where it grows too large or stalls."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._whole = False
        self._answered = False
        self._refused: Refusal | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except ClientDisconnect:  # the client is gone, or its body was refused
            pass
        finally:
            if self._refused and not self._answered:
                await _refuse(self._send, self._refused)

    async def receive(self) -> Message:
        """The next part. To the application a refused body looks like a lost client."""
        if self._refused:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), IDLE_S)
        except TimeoutError:
            self._refused = STALLED
            return {"type": "http.disconnect"}
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._refused = TOO_LARGE
            return {"type": "http.disconnect"}
        self._whole = message["type"] == "http.disconnect" or not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        """Send the application's answer, unless the body was refused."""
        if self._refused and not self._answered:
            return
        self._answered = True
        if message["type"] == "http.response.start" and not self._whole:
            # The rest of the body is not wanted: the connection is closed without waiting for it.
            message = {**message, "headers": [*message["headers"], CLOSE]}
        await self._send(message)


class _Upload(_Body):
    """The body of an upload, whose sender gets 400 where Gradio fails on a malformed form."""

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await super().run(app, scope)
        except NO_FORM_ERRORS:
            await self._fail(NO_FORM)
        except Exception:
            await self._fail(FAILED)
            raise

    async def send(self, message: Message) -> None:
        """Send the application's answer; `run` answers where the application failed."""
        if message.get("status") != 500 and (self._answered or message["type"].endswith("start")):
            await super().send(message)

    async def _fail(self, refusal: Refusal) -> None:
        if not self._answered:
            await _refuse(self._send, refusal)


async def _refuse(send: Send, refusal: Refusal) -> None:
    """Answer and close the connection, so that the rest of the body is not waited for."""
    status, reason = refusal
    body = reason.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        CLOSE,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
