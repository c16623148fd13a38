"""POST /v1/chat/completions: answers in a conversation, whole or as a stream."""

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from backend.contract.texts.problems import TuneboardError
from backend.model.generation import Sampling
from backend.serving.exchange import (
    DONE,
    chain,
    error_answer,
    line,
    read_body,
    require_served,
    stream_lines,
    sum_usage,
    watch_client,
    weights_of,
)
from backend.serving.generation_request import Answer, GenerationRequest, Shown
from backend.serving.job import Event
from backend.serving.protocol import Shapes, assistant
from backend.serving.reasoning import Piece, Reader
from backend.serving.request import ChatRequest, parse
from backend.serving.service import Service
from backend.serving.token_texts import Logprob


class Choice:
    """One choice of an answer, as its events come.

    pieces    what has been read so far
    logprobs  of the tokens since the last `take_logprobs`; None where nobody asks for them
    """

    def __init__(self, index: int, reader: Reader, body: ChatRequest) -> None:
        self.index = index
        self._most_calls = None if body.parallel_tool_calls else 1
        self.pieces: list[Piece] = []
        self._reader = reader
        self._logprobs: list[Logprob] | None = [] if body.logprobs else None
        self._end: Answer | None = None

    def add(self, shown: Shown | Answer) -> Piece:
        """Take an event; returns what is certain now."""
        if isinstance(shown, list):
            if self._logprobs is not None:
                self._logprobs += shown
            return Piece()
        if isinstance(shown, Answer):
            self._end = shown
            piece = self._reader.end(cut=shown.finish != "stop")
        else:
            piece = self._reader.add(shown)
        if self._most_calls is not None:
            calls = tuple(each for each in piece.calls if each["index"] < self._most_calls)
            piece = piece._replace(calls=calls)
        self.pieces.append(piece)
        return piece

    def take_logprobs(self) -> list[Logprob] | None:
        """The log-probabilities that have not been taken yet."""
        if self._logprobs is None:
            return None
        taken, self._logprobs = self._logprobs, []
        return taken

    @property
    def end(self) -> Answer:
        """The counts of the answer, which has ended."""
        assert self._end is not None
        return self._end

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls of the answer, as far as they have come."""
        return self._reader.stream.calls[: self._most_calls]

    @property
    def finish(self) -> str:
        """Why the answer has ended: with calls only where all of them are whole."""
        called = self.calls and self.end.finish == "stop" and self._reader.stream.is_whole
        return "tool_calls" if called else self.end.finish


async def answer(request: Request, service: Service, standard: Sampling) -> Response:
    """Answer a request. Raises ApiError and TuneboardError before the first byte is sent."""
    body = parse(await read_body(request))
    service.limits.check_choices(body.n)
    name = require_served(body.model or service.name, service)
    shapes = Shapes(f"chatcmpl-{uuid.uuid4().hex}", name, body.stream_options.include_usage)
    requests = requests_of(body, standard, weights_of(name, service))
    events = watch_client(request, service.answers(requests), requests[0].cancelled)
    choices = [
        Choice(index, service.style().reader(each.tools), body)
        for index, each in enumerate(requests)
    ]
    if not body.stream:
        return JSONResponse(await _complete(events, shapes, choices))
    # Wait for the first event before the first byte: an error can still be an HTTP status.
    first = await anext(events)
    return stream_lines(_stream_events(chain(first, events), shapes, choices))


def requests_of(
    body: ChatRequest, standard: Sampling, weights: dict[str, Any]
) -> list[GenerationRequest]:
    """Build one request for each choice; a seed counts up, so that the choices differ."""
    sampling = body.sampling(standard)
    messages = [message.to_template() for message in body.messages]
    tools, rule = body.tools_offered(), body.rule()
    cancelled = threading.Event()
    return [
        GenerationRequest(
            messages=messages,
            tools=tools or None,
            variables=body.variables(),
            rule=rule,
            sampling=sampling.with_seed(i),
            **weights,
            cancelled=cancelled,
        )
        for i in range(body.n)
    ]


async def _complete(
    events: AsyncIterator[Event], shapes: Shapes, choices: list[Choice]
) -> dict[str, Any]:
    async for index, event in events:
        choices[index].add(event)
    answers = [
        shapes.choice(
            choice.index,
            assistant(choice.pieces, choice.calls),
            choice.finish,
            choice.take_logprobs(),
        )
        for choice in choices
    ]
    return shapes.completion(answers, sum_usage([choice.end for choice in choices]))


def _deltas(piece: Piece) -> Iterator[dict[str, Any]]:
    if piece.reasoning:
        yield {"reasoning_content": piece.reasoning}
    if piece.content:
        yield {"content": piece.content}
    for call in piece.calls:
        yield {"tool_calls": [call]}


def _chunks(shapes: Shapes, choice: Choice, event: Shown | Answer) -> Iterator[dict[str, Any]]:
    """Yield the chunks that an event of a choice becomes: what is certain now, and at the end the
    finish reason."""
    for delta in _deltas(choice.add(event)):
        yield shapes.delta(choice.index, delta, logprobs=choice.take_logprobs())
    if not isinstance(event, Answer):
        return
    yield shapes.delta(choice.index, {}, choice.finish, logprobs=choice.take_logprobs() or None)


async def _stream_events(
    events: AsyncIterator[Event], shapes: Shapes, choices: list[Choice]
) -> AsyncIterator[str]:
    begun: set[int] = set()
    try:
        async for index, event in events:
            if index not in begun:
                begun.add(index)
                yield line(shapes.delta(index, {"role": "assistant", "content": ""}))
            for chunk in _chunks(shapes, choices[index], event):
                yield line(chunk)
    except TuneboardError as error:
        yield line(error_answer(error)[0])
    else:
        if shapes.with_usage:
            yield line(shapes.usage_chunk(sum_usage([choice.end for choice in choices])))
    yield DONE
