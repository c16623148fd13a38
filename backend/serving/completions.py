"""POST /v1/completions: texts that are continued as they stand, without a chat template."""

import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field

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
    watch_client,
    weights_of,
)
from backend.serving.generation_request import Answer, GenerationRequest, Shown
from backend.serving.job import Event
from backend.serving.protocol import ApiError, Json, TextShapes, usage
from backend.serving.sampled_request import MAX_LIKELIEST, SampledRequest, read_object, validate
from backend.serving.service import Service
from backend.serving.token_texts import Logprob

STANDARD_TOKENS = 16  # OpenAI's length of a continuation
MAX_PROMPTS = 128
ACCEPTED = frozenset({"user"})
NEUTRAL: dict[str, tuple[object, ...]] = {"best_of": (1,), "suffix": ("",)}
Prompt = str | list[int]


def as_prompts(prompt: Any) -> Any:
    """One prompt as a list of prompts."""
    is_ids = isinstance(prompt, list) and prompt and all(isinstance(each, int) for each in prompt)
    return [prompt] if isinstance(prompt, str) or is_ids else prompt


class CompletionRequest(SampledRequest):
    """The body of a request."""

    prompt: Annotated[list[Prompt], BeforeValidator(as_prompts)] = Field(
        min_length=1, max_length=MAX_PROMPTS
    )
    echo: bool = False
    max_tokens: int = Field(default=STANDARD_TOKENS, ge=0)
    logprobs: int | None = Field(default=None, ge=0, le=MAX_LIKELIEST)

    def requests(self, standard: Sampling, weights: dict[str, Any]) -> list[GenerationRequest]:
        """A request for each choice of each prompt; a seed counts up with the choices of one.

        Raises ApiError (400) where a request would be answered with nothing.
        """
        if not self.max_tokens and not self.echo:
            raise ApiError(400, "nothing_wanted", "max_tokens")
        sampling = replace(
            self.common_sampling(standard), max_tokens=self.max_tokens, logprobs=self.logprobs
        )
        cancelled = threading.Event()
        return [
            GenerationRequest(
                prompt=prompt,
                echo=self.echo,
                sampling=sampling.with_seed(number),
                **weights,
                cancelled=cancelled,
            )
            for prompt in self.prompt
            for number in range(self.n)
        ]


class Continuation:
    """What has come of one choice: its text, the log-probabilities that go with it, its end."""

    def __init__(self) -> None:
        self.text = ""
        self.logprobs: list[Logprob] = []
        self.end: Answer | None = None
        self._offset = 0

    def add(self, event: Shown | Answer) -> None:
        """Take an event."""
        if isinstance(event, Answer):
            self.end = event
        elif isinstance(event, list):
            self.logprobs += event
        else:
            self.text += event

    def take(self, *, logprobs: bool) -> Json:
        """The choice as it has come since the last call, without its index."""
        text, tokens = self.text, self.logprobs
        self.text, self.logprobs = "", []
        finish = self.end.finish if self.end else None
        shown = self._shape(tokens) if logprobs and tokens else None
        return {"text": text, "logprobs": shown, "finish_reason": finish}

    def _shape(self, tokens: Sequence[Logprob]) -> Json:
        offsets = []
        for each in tokens:
            offsets.append(self._offset)
            self._offset += len(each.text)
        return {
            "tokens": [each.text for each in tokens],
            "token_logprobs": [each.logprob for each in tokens],
            "top_logprobs": [_likeliest(each) for each in tokens],
            "text_offset": offsets,
        }


def _likeliest(each: Logprob) -> Json | None:
    """The likeliest tokens by their texts, and the chosen one where it is none of them."""
    if each.logprob is None:
        return None
    return {other.text: other.logprob for other in (each, *each.likeliest)}


async def answer(request: Request, service: Service, standard: Sampling) -> Response:
    """Answer a request. Raises ApiError and TuneboardError before the first byte is sent."""
    body = validate(CompletionRequest, read_object(await read_body(request), ACCEPTED, NEUTRAL))
    service.limits.check_choices(body.n)
    name = require_served(body.model or service.name, service)
    requests = body.requests(standard, weights_of(name, service))
    events = watch_client(request, service.answers(requests), requests[0].cancelled)
    shapes = TextShapes(f"cmpl-{uuid.uuid4().hex}", name, body.stream_options.include_usage)
    choices = [Continuation() for _ in requests]
    if body.stream:
        # Wait for the first event before the first byte: an error can still be an HTTP status.
        first = await anext(events)
        return stream_lines(_stream(chain(first, events), shapes, choices, body))
    async for index, event in events:
        choices[index].add(event)
    logprobs = body.logprobs is not None
    answers = [
        {"index": index, **each.take(logprobs=logprobs)} for index, each in enumerate(choices)
    ]
    return JSONResponse(shapes.completion(answers, _usage(choices, body)))


async def _stream(
    events: AsyncIterator[Event],
    shapes: TextShapes,
    choices: list[Continuation],
    body: CompletionRequest,
) -> AsyncIterator[str]:
    logprobs = body.logprobs is not None
    try:
        async for index, event in events:
            choices[index].add(event)
            if not isinstance(event, list):  # log-probabilities wait for their text
                yield line(shapes.chunk({"index": index, **choices[index].take(logprobs=logprobs)}))
    except TuneboardError as error:
        yield line(error_answer(error)[0])
    else:
        if shapes.with_usage:
            yield line(shapes.usage_chunk(_usage(choices, body)))
    yield DONE


def _usage(choices: list[Continuation], body: CompletionRequest) -> dict[str, int]:
    """Token counts of all choices; a prompt counts once."""
    ends = [each.end for each in choices if each.end is not None]
    prompt = sum(end.prompt_tokens for end in ends[:: body.n])
    return usage(prompt, sum(end.completion_tokens for end in ends))
