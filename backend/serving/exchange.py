"""What the addresses share: the body of a request, its model, its client, and lines of a stream."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from backend.contract.texts.problems import DataError, TuneboardError, UsageError
from backend.serving.generation_request import Answer
from backend.serving.guard import MAX_BODY
from backend.serving.job import Event
from backend.serving.names import BASE
from backend.serving.protocol import ApiError, error_body, usage
from backend.serving.service import Service

DONE = "data: [DONE]\n\n"


def require_served(name: str, service: Service) -> str:
    """The name of a model as it is. Raises ApiError (404) where it is not served here."""
    if name not in service.models():
        known = ", ".join(service.models())
        raise ApiError(404, "model_not_found", "model", name=name[:80], known=known)
    return name


def weights_of(name: str, service: Service) -> dict[str, Any]:
    """The fields of a GenerationRequest that a model's name stands for."""
    return {"tuned": name != BASE, "adapter": name if name in service.adapters() else ""}


def stream_lines(lines: AsyncIterator[str]) -> Response:
    """An answer of lines that come one by one."""
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def read_body(request: Request) -> bytes:
    """The body of a request. Raises ApiError (413) where it is too large."""
    content = bytearray()
    try:
        async for part in request.stream():
            content += part
            if len(content) > MAX_BODY:
                raise ApiError(413, "body_too_large", limit=MAX_BODY)
    except ClientDisconnect:  # nobody receives the answer
        raise ApiError(400, "bad_json") from None
    return bytes(content)


async def watch_client(
    request: Request, events: AsyncIterator[Event], cancelled: threading.Event
) -> AsyncIterator[Event]:
    """Yield the events, and set `cancelled` as soon as the client has disconnected."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancelled.set()

    watcher = asyncio.create_task(watch())
    try:
        async for event in events:
            yield event
    finally:
        watcher.cancel()


async def chain(first: Event, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Yield an event that has been taken already, and those after it."""
    yield first
    async for event in events:
        yield event


def line(body: dict[str, Any]) -> str:
    """A line of a stream."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def sum_usage(ends: list[Answer]) -> dict[str, int]:
    """Token counts of all choices; the prompt counts once."""
    prompt = ends[0].prompt_tokens if ends else 0
    return usage(prompt, sum(end.completion_tokens for end in ends))


def error_answer(error: TuneboardError) -> tuple[dict[str, Any], int]:
    """The body and status of an error: 400 for wrong arguments and data, else 500."""
    problem = error.problems[0]
    status = 400 if isinstance(error, UsageError | DataError) else 500
    return error_body(str(error), status, problem.code, problem.field or None), status
