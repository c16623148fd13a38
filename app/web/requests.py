"""Check requests to Gradio: used routes, existing events, uploaded files.

Gradio has more routes than the page needs, answers malformed requests with a traceback in the log,
and accepts any path of this machine, or a URL, as an uploaded file.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from gradio import HTML, Blocks
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.data import upload_folder
from backend.contract.texts.problems import TuneboardError

Refusal = tuple[int, str]

EVENT = "/gradio_api/queue/join"
ASK = "/gradio_api/component_server"  # calls of functions of our components
POSTS = {EVENT, ASK, "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/upload"}
STREAM = "/gradio_api/queue/data"
GETS = re.compile(
    r"/|/healthz|/config|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt"
    r"|/own/(browser/|form/)?[\w.-]+"
    r"|/(assets|static)/.+"
    r"|/gradio_api/(info|app_id|login_check|startup-events|upload_progress|queue/(data|status))"
    r"|/gradio_api/heartbeat/\w+"
    r"|/gradio_api/file=(?!(?i:https?):).+",
    re.DOTALL,
)

MOST_SESSIONS = 2000  # as many as Gradio keeps answers for

CLOSED: Refusal = (404, "There is nothing here.")
METHOD: Refusal = (405, "This cannot be asked in this way.")
TYPE: Refusal = (415, "The content type must be application/json.")
NO_JSON: Refusal = (400, "The body is no JSON object.")
NO_EVENT: Refusal = (404, "There is no such event.")
BAD_DATA: Refusal = (400, "The event takes other data.")
NO_UPLOAD: Refusal = (403, "This file was not uploaded.")
NO_SESSION: Refusal = (404, "There is no such session.")


class Requests:
    """Passes valid requests to the application, and answers others with 4xx."""

    def __init__(self, app: ASGIApp, blocks: Blocks) -> None:
        self.app = app
        self.blocks = blocks
        self._sessions: OrderedDict[str, None] = OrderedDict()  # that have sent an event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; a JSON body is read and checked first."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._check_route(scope)
        if refusal is None and scope["method"] == "POST" and not _path(scope).endswith("/upload"):
            body = await _read(receive)
            if body is None:  # the client is gone, or was refused
                return
            refusal = self._judge(scope, body)
            receive = _again(body, receive)
        if refusal is not None:
            status, reason = refusal
            await PlainTextResponse(reason, status)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except RuntimeError as error:
            if not isinstance(error.__cause__, HTTPException):  # an error within a stream
                raise

    def _check_route(self, scope: Scope) -> Refusal | None:
        path, method = _path(scope), scope["method"]
        if method == "POST" and path in POSTS:
            return None
        if not GETS.fullmatch(path):
            return METHOD if path in POSTS else CLOSED
        if method not in {"GET", "HEAD"}:
            return METHOD
        return NO_SESSION if path == STREAM and not self._is_session(scope) else None

    def _is_session(self, scope: Scope) -> bool:
        """Whether the session whose answers are requested has sent an event."""
        asked = re.search(rb"(?:^|&)session_hash=(\w+)", scope["query_string"])
        return asked is not None and asked[1].decode() in self._sessions

    def _judge(self, scope: Scope, body: bytes) -> Refusal | None:
        types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
        if not types or types[0].partition(b";")[0].strip().lower() != b"application/json":
            return TYPE
        try:
            row = json.loads(body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return NO_JSON
        if not isinstance(row, dict):
            return NO_JSON
        if _path(scope) == ASK:
            return self._judge_question(row)
        return self._judge_event(row) if _path(scope) == EVENT else None

    def _judge_question(self, row: dict[str, Any]) -> Refusal | None:
        """The refusal of a call, unless it calls a function of our forms with a JSON object."""
        index, name = row.get("component_id"), row.get("fn_name")
        block = self.blocks.blocks.get(index) if type(index) is int else None
        asked = (
            [function.__name__ for function in block.server_fns] if isinstance(block, HTML) else []
        )
        if name not in asked:
            return NO_EVENT
        valid = isinstance(row.get("data"), dict) and isinstance(row.get("session_hash"), str)
        return None if valid else BAD_DATA

    def _judge_event(self, row: dict[str, Any]) -> Refusal | None:
        index, data = row.get("fn_index"), row.get("data")
        event = self.blocks.fns.get(index) if type(index) is int else None
        if event is None or event.fn is None:  # without one it runs in the browser only
            return NO_EVENT
        if not isinstance(data, list) or len(data) != len(event.inputs):
            return BAD_DATA
        session = row.get("session_hash")
        if not isinstance(session, str):
            return BAD_DATA
        if not all(map(_is_upload, _files(data))):
            return NO_UPLOAD
        self._remember(session)
        return None

    def _remember(self, session: str) -> None:
        self._sessions[session] = None
        self._sessions.move_to_end(session)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.rstrip("/") or "/"


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it does not arrive."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Receive the body once more, then the messages after it."""
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def read() -> Message:
        return messages.pop() if messages else await receive()

    return read


def _no_number(word: str) -> None:
    raise ValueError(word)


def _files(data: list[Any]) -> Iterator[str]:
    """The path of every file in the data of an event, at any depth."""
    left: list[Any] = [*data]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                yield value["path"]
            left += value.values()
        elif isinstance(value, list):
            left += value


def _is_upload(path: str) -> bool:
    try:
        upload_folder.require(Path(path))
    except (TuneboardError, OSError, ValueError):  # the name is too long or has a NUL
        return False
    return True
