"""OpenAI's chat completion protocol: requests checked, answers and errors in its shapes.

Fields and shapes: https://platform.openai.com/docs/api-reference/chat
"""

import json
import time
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from backend.contract.texts import t
from backend.generation import Sampling

MAX_CHOICES = 8
MAX_STOPS = 16
# Arguments that would change the answer and are not supported, with the values that change nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "logprobs": (None, False),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "tool_choice": (None, "auto", "none"),
    "response_format": (None, {"type": "text"}),
}

Json = dict[str, Any]


class ApiError(Exception):
    """A request that is refused: HTTP status, OpenAI's error type, code and parameter."""

    def __init__(self, status: int, code: str, param: str | None = None, **words: object) -> None:
        self.status = status
        self.code = code
        self.param = param
        super().__init__(t(f"api.{code}", **words))

    def body(self) -> Json:
        """The answer's body in OpenAI's shape."""
        return error_body(str(self), self.status, self.code, self.param)


def error_body(message: str, status: int, code: str, param: str | None = None) -> Json:
    """OpenAI's error object."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class TextPart(_Strict):
    """One part of a message's content; only text is understood."""

    type: Literal["text"]
    text: str


class Function(_Strict):
    """The function of a tool call; arguments come as JSON text."""

    name: str
    arguments: str | Json = "{}"


class ToolCall(_Strict):
    """A call that an earlier answer made."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: Function


class ChatMessage(_Strict):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None

    def plain(self) -> Json:
        """The internal shape of a message: text content, tool arguments as objects."""
        content = self.content or ""
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        message: Json = {"role": role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = [_call(call.function) for call in self.tool_calls]
        return message


def _call(function: Function) -> Json:
    arguments = function.arguments
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            raise ApiError(400, "bad_tool_arguments", "messages", name=function.name) from None
    return {"type": "function", "function": {"name": function.name, "arguments": arguments}}


class StreamOptions(_Strict):
    """Whether the last chunk of a stream tells the token counts."""

    include_usage: bool = False


class ChatRequest(_Strict):
    """The body of POST /v1/chat/completions."""

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[Json] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, le=MAX_CHOICES)
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def stops(self) -> tuple[str, ...]:
        """The stop texts, empty ones left out."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(given) > MAX_STOPS:
            raise ApiError(400, "too_many_stops", "stop", limit=MAX_STOPS)
        return tuple(text for text in given if text)

    def sampling(self, standard: Sampling) -> Sampling:
        """The sampling of this request; what it does not say is as the server was started."""
        given = {
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "repetition_penalty": self.repetition_penalty,
            # torch's generator takes 64 bits; any other integer is folded into them
            "seed": None if self.seed is None else self.seed % 2**63,
        }
        said = {name: value for name, value in given.items() if value is not None}
        return replace(standard, stop=self.stops(), **said)  # type: ignore[arg-type]


def parse(body: bytes) -> ChatRequest:
    """The request in a body; raises ApiError (400) that names the first wrong parameter."""
    try:
        # stricter than json.loads: no NaN, no half surrogates, no endless nesting
        raw = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise ApiError(400, "bad_json") from None
    if not isinstance(raw, dict):
        raise ApiError(400, "bad_json")
    for name, neutral in NEUTRAL.items():
        if raw.get(name) not in neutral:
            raise ApiError(400, "unsupported_parameter", name, name=name)
    if raw.get("tool_choice") == "none":
        raw.pop("tools", None)
    try:
        return ChatRequest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        name = str(first["loc"][0])
        raise ApiError(400, "bad_parameter", name, name=place, reason=first["msg"]) from None


def usage(prompt: int, completion: int) -> Json:
    """Token counts as OpenAI tells them; the end token counts."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


class Shapes:
    """Completion and chunk objects of one request, which share id, time and model name."""

    def __init__(self, answer_id: str, model: str, with_usage: bool) -> None:
        self.with_usage = with_usage
        self._head: Json = {"id": answer_id, "created": int(time.time()), "model": model}

    def chunk(self, index: int, delta: Json, finish: str | None = None) -> Json:
        """One event of a stream."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice], None)

    def usage_chunk(self, counts: Json) -> Json:
        """The last event of a stream whose request asked for token counts."""
        return self._chunk([], counts)

    def _chunk(self, choices: list[Json], counts: Json | None) -> Json:
        body = {**self._head, "object": "chat.completion.chunk", "choices": choices}
        return {**body, "usage": counts} if self.with_usage else body

    def completion(self, answers: list[tuple[Json, str]], counts: Json) -> Json:
        """The whole answer: (message, finish reason) of each choice."""
        choices = [
            {
                "index": index,
                "message": message,
                "logprobs": None,
                "finish_reason": finish,
            }
            for index, (message, finish) in enumerate(answers)
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": counts}
