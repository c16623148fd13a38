"""POST /v1/responses: a chat's answer as items, whole or as the events of a stream."""

import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from backend.contract.texts.problems import TuneboardError
from backend.model.generation import Sampling
from backend.serving.chat import Choice, requests_of
from backend.serving.exchange import (
    chain,
    error_answer,
    read_body,
    require_served,
    stream_lines,
    watch_client,
    weights_of,
)
from backend.serving.generation_request import Answer, Shown
from backend.serving.job import Event
from backend.serving.protocol import Json, chat_logprobs
from backend.serving.request import ChatRequest
from backend.serving.responses_request import ResponsesRequest, read
from backend.serving.service import Service

Named = Iterator[Json]  # events, each with its type


async def answer(request: Request, service: Service, standard: Sampling) -> Response:
    """Answer a request. Raises ApiError and TuneboardError before the first byte is sent."""
    body = read(await read_body(request))
    chat = body.to_chat()
    name = require_served(chat.model or service.name, service)
    requests = requests_of(chat, standard, weights_of(name, service))
    events = watch_client(request, service.answers(requests), requests[0].cancelled)
    choice = Choice(0, service.style().reader(requests[0].tools), chat)
    output = Output(body, chat, name, choice)
    if chat.stream:
        # Wait for the first event before the first byte: an error can still be an HTTP status.
        first = await anext(events)
        return stream_lines(_stream(chain(first, events), output))
    async for _, event in events:
        for _ in output.add(event):
            pass
    return JSONResponse(output.response())


async def _stream(events: AsyncIterator[Event], output: "Output") -> AsyncIterator[str]:
    numbers = itertools.count()
    for begin in ("response.created", "response.in_progress"):
        yield _line({"type": begin, "response": output.response()}, numbers)
    try:
        async for _, event in events:
            for named in output.add(event):
                yield _line(named, numbers)
    except TuneboardError as error:
        inner = error_answer(error)[0]["error"]
        yield _line({**inner, "type": "error", "error": inner}, numbers)
    else:
        response = output.response()
        yield _line({"type": f"response.{response['status']}", "response": response}, numbers)


def _line(event: Json, numbers: "itertools.count[int]") -> str:
    body = json.dumps({**event, "sequence_number": next(numbers)}, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {body}\n\n"


class Output:
    """The items of an answer as they come: a thought, a message, calls."""

    def __init__(
        self, body: ResponsesRequest, chat: ChatRequest, model: str, choice: Choice
    ) -> None:
        self._body = body
        self._chat = chat
        self._choice = choice
        self._items: list[Json] = []
        self._is_open = False
        self._end: Answer | None = None
        self._head: Json = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
        }

    def add(self, event: Shown | Answer) -> Named:
        """Take an event of the engine; yields those that it becomes."""
        piece = self._choice.add(event)
        if piece.reasoning:
            yield from self._write("reasoning", piece.reasoning)
        if piece.content:
            yield from self._write("message", piece.content)
        for delta in piece.calls:
            yield from self._write_call(delta)
        if isinstance(event, Answer):
            self._end = event
            if not self._items:
                yield from self._open("message")
            yield from self._close()

    def response(self) -> Json:
        """The response as far as it has come."""
        end = self._end
        status = "in_progress" if end is None else "completed"
        details = None
        if end is not None and end.finish == "length":
            status, details = "incomplete", {"reason": "max_output_tokens"}
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": details,
            "output": self._items if end else [],
            "usage": _usage(end) if end else None,
            **self._request_fields(),
        }

    def _request_fields(self) -> Json:
        """What a response repeats of its request."""
        body = self._body
        return {
            "instructions": body.instructions or None,
            "max_output_tokens": body.max_output_tokens,
            "metadata": {},
            "parallel_tool_calls": body.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": body.reasoning.effort, "summary": None},
            "store": False,
            "temperature": self._chat.temperature,
            "text": {"format": body.text.format or {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools,
            "top_p": self._chat.top_p,
            "truncation": "disabled",
        }

    def _write(self, kind: str, text: str) -> Named:
        if not (self._is_open and self._items[-1]["type"] == kind):
            yield from self._close()
            yield from self._open(kind)
        part = self._items[-1]["content"][0]
        part["text"] += text
        event = {"type": f"response.{part['type']}.delta", **self._place(content_index=0)}
        event["delta"] = text
        if kind == "message":
            event["logprobs"] = self._logprobs()
            part["logprobs"] += event["logprobs"]
        yield event

    def _open(self, kind: str) -> Named:
        item: Json = {"id": f"{kind[:3]}_{uuid.uuid4().hex}", "type": kind}
        item["status"] = "in_progress"
        if kind == "message":
            item["role"] = "assistant"
            part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        else:
            item["summary"] = []
            part = {"type": "reasoning_text", "text": ""}
        self._items.append({**item, "content": [part]})
        self._is_open = True
        yield self._item_event("added", {**item, "content": []})
        place = self._place(content_index=0)
        yield {"type": "response.content_part.added", **place, "part": dict(part)}

    def _close(self) -> Named:
        if not self._is_open:
            return
        self._is_open = False
        item = self._items[-1]
        if item["type"] == "function_call":
            done = {"type": "response.function_call_arguments.done", **self._place()}
            yield {**done, "name": item["name"], "arguments": item["arguments"]}
        else:
            part = item["content"][0]
            more = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
            done = {"type": f"response.{part['type']}.done", **self._place(content_index=0)}
            yield {**done, "text": part["text"], **more}
            place = self._place(content_index=0)
            yield {"type": "response.content_part.done", **place, "part": part}
        cut = self._end is not None and self._end.finish != "stop"
        item["status"] = "incomplete" if cut else "completed"
        yield self._item_event("done", item)

    def _write_call(self, delta: Json) -> Named:
        """A call is an item of its own; its arguments come in pieces."""
        function = delta["function"]
        if "id" in delta:
            yield from self._close()
            item = {
                "id": f"fc_{uuid.uuid4().hex}",
                "type": "function_call",
                "call_id": delta["id"],
                "name": function["name"],
                "arguments": "",
                "status": "in_progress",
            }
            self._items.append(item)
            self._is_open = True
            yield self._item_event("added", dict(item))
        if function["arguments"]:
            self._items[-1]["arguments"] += function["arguments"]
            event = {"type": "response.function_call_arguments.delta", **self._place()}
            yield {**event, "delta": function["arguments"]}

    def _item_event(self, what: str, item: Json) -> Json:
        index = len(self._items) - 1
        return {"type": f"response.output_item.{what}", "output_index": index, "item": item}

    def _place(self, **more: int) -> Json:
        return {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1, **more}

    def _logprobs(self) -> list[Any]:
        shown = chat_logprobs(self._choice.take_logprobs())
        return shown["content"] if shown else []


def _usage(end: Answer) -> Json:
    """Token counts in the format of responses."""
    return {
        "input_tokens": end.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": end.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": end.prompt_tokens + end.completion_tokens,
    }
