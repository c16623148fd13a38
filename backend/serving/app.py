"""The HTTP application: /health, /v1/models and /v1/chat/completions, also as a stream."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from backend.contract.texts.locales import t
from backend.contract.texts.problems import DataError, TuneboardError, UsageError
from backend.model.generation import Sampling
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.guard import MAX_BODY, Guard
from backend.serving.protocol import ApiError, Shapes, assistant, error_body, usage
from backend.serving.reasoning import Piece, Reader
from backend.serving.request import ChatRequest, parse
from backend.serving.service import BASE, Event, Service

HTTP_ERRORS = {404: "unknown_url", 405: "method_not_allowed"}


def build(service: Service, standard: Sampling, *, host: str, key: str | None) -> FastAPI:
    """Build the application; it starts to load the model when the server starts.

    `standard` is the sampling of requests without values; `host` is the address of the server.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host, key=key)
    _add_routes(app, service, standard)
    _add_error_shapes(app)
    return app


def _add_routes(app: FastAPI, service: Service, standard: Sampling) -> None:
    started = int(time.time())

    @app.get("/health")
    async def health() -> dict[str, Any]:
        problem = service.problem
        return {
            "status": service.state,
            "model": service.name,
            "problem": problem.to_json() if problem else None,
            "detail": problem.text() if problem else "",
            "notices": [notice.to_json() for notice in service.notices],
        }

    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "tuneboard"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model(name) for name in service.models()]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        return model(_require_served(name, service))

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        service.engine()
        return await _chat(request, service, standard)


async def _chat(request: Request, service: Service, standard: Sampling) -> Response:
    body = parse(await _body(request))
    name = _require_served(body.model or service.name, service)
    shapes = Shapes(f"chatcmpl-{uuid.uuid4().hex}", name, body.stream_options.include_usage)
    requests = _requests(body, standard, tuned=name != BASE)
    events = _watch_client(request, service.answers(requests), requests[0].cancelled)
    readers = [service.style().reader(requests[0].tools) for _ in requests]
    if not body.stream:
        return JSONResponse(await _complete(events, shapes, readers))
    # Wait for the first event before the first byte: an error can still be an HTTP status.
    first = await anext(events)
    return StreamingResponse(
        _stream_events(first, events, shapes, readers),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


def _require_served(name: str, service: Service) -> str:
    """The name of a model as it is. Raises ApiError (404) where it is not served here."""
    if name not in service.models():
        known = ", ".join(service.models())
        raise ApiError(404, "model_not_found", "model", name=name[:80], known=known)
    return name


def _requests(body: ChatRequest, standard: Sampling, *, tuned: bool) -> list[GenerationRequest]:
    """Build one request for each choice; a seed counts up, so that the choices differ."""
    sampling = body.sampling(standard)
    messages = [message.to_template() for message in body.messages]
    cancelled = threading.Event()
    return [
        GenerationRequest(
            messages=messages,
            tools=body.tools or None,
            variables=body.variables(),
            sampling=replace(sampling, seed=None if sampling.seed is None else sampling.seed + i),
            tuned=tuned,
            cancelled=cancelled,
        )
        for i in range(body.n)
    ]


async def _body(request: Request) -> bytes:
    content = bytearray()
    try:
        async for part in request.stream():
            content += part
            if len(content) > MAX_BODY:
                raise ApiError(413, "body_too_large", limit=MAX_BODY)
    except ClientDisconnect:  # nobody receives the answer
        raise ApiError(400, "bad_json") from None
    return bytes(content)


async def _watch_client(
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


async def _complete(
    events: AsyncIterator[Event], shapes: Shapes, readers: list[Reader]
) -> dict[str, Any]:
    pieces: list[list[Piece]] = [[] for _ in readers]
    ends: list[Answer] = []
    async for index, event in events:
        if isinstance(event, Answer):
            ends.append(event)
        else:
            pieces[index].append(readers[index].add(event))
    answers = []
    for shown, reader, end in zip(pieces, readers, ends, strict=False):
        rest, calls = reader.end(cut=end.finish != "stop")
        message = assistant([*shown, rest], calls)
        answers.append((message, _finish(end, calls)))
    return shapes.completion(answers, _usage(ends))


def _finish(end: Answer, calls: list[dict[str, Any]]) -> str:
    return "tool_calls" if calls and end.finish == "stop" else end.finish


def _deltas(piece: Piece) -> Iterator[dict[str, Any]]:
    if piece.reasoning:
        yield {"reasoning_content": piece.reasoning}
    if piece.content:
        yield {"content": piece.content}


def _last_events(shapes: Shapes, index: int, end: Answer, reader: Reader) -> Iterator[str]:
    """Yield the last events of one choice: held-back text, calls, and the finish reason."""
    rest, calls = reader.end(cut=end.finish != "stop")
    for delta in _deltas(rest):
        yield _line(shapes.chunk(index, delta))
    if calls:
        numbered = [{"index": number, **call} for number, call in enumerate(calls)]
        yield _line(shapes.chunk(index, {"tool_calls": numbered}))
    yield _line(shapes.chunk(index, {}, _finish(end, calls)))


async def _stream_events(
    first: Event, events: AsyncIterator[Event], shapes: Shapes, readers: list[Reader]
) -> AsyncIterator[str]:
    ends: list[Answer] = []
    begun: set[int] = set()
    try:
        async for index, event in _chain(first, events):
            if index not in begun:
                begun.add(index)
                yield _line(shapes.chunk(index, {"role": "assistant", "content": ""}))
            if isinstance(event, Answer):
                ends.append(event)
                for line in _last_events(shapes, index, event, readers[index]):
                    yield line
            else:
                for delta in _deltas(readers[index].add(event)):
                    yield _line(shapes.chunk(index, delta))
    except TuneboardError as error:
        yield _line(_error_answer(error)[0])
    else:
        if shapes.with_usage:
            yield _line(shapes.usage_chunk(_usage(ends)))
    yield "data: [DONE]\n\n"


async def _chain(first: Event, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    yield first
    async for event in events:
        yield event


def _line(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _usage(ends: list[Answer]) -> dict[str, int]:
    """Token counts of all choices; the prompt counts once."""
    prompt = ends[0].prompt_tokens if ends else 0
    return usage(prompt, sum(end.completion_tokens for end in ends))


def _error_answer(error: TuneboardError) -> tuple[dict[str, Any], int]:
    """The body and status of an error: 400 for wrong arguments and data, else 500."""
    problem = error.problems[0]
    status = 400 if isinstance(error, UsageError | DataError) else 500
    return error_body(str(error), status, problem.code, problem.field or None), status


def _add_error_shapes(app: FastAPI) -> None:
    """Answer every error in OpenAI's format, without a traceback for the client."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status)

    @app.exception_handler(TuneboardError)
    async def problem_error(_: Request, error: TuneboardError) -> Response:
        return JSONResponse(*_error_answer(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = HTTP_ERRORS.get(error.status_code, "http_error")
        params = {"method": request.method, "path": request.url.path[:200]}
        reason = t(f"api.{code}", **params, reason=error.detail)
        body = error_body(reason, error.status_code, code)
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def internal_error(_: Request, error: Exception) -> Response:
        message = f"{type(error).__name__}: {error}"[:500]
        return JSONResponse(error_body(message, 500, "internal_error"), 500)
