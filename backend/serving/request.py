"""The body of a chat completion request, checked: every field is done, or refused by name.

Fields: https://platform.openai.com/docs/api-reference/chat/create (those of the openai package
3.57), and top_k, min_p, repetition_penalty and chat_template_kwargs, which vLLM takes, too.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from backend.datafiles import values
from backend.generation import Sampling
from backend.serving.protocol import ApiError, Json

MAX_CHOICES = 8
MAX_STOPS = 16
# What says something about the request, not about the answer: taken, and without effect here.
ACCEPTED = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
# Arguments that would change the answer and are not supported, with the values that change nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": (),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
OLD = ("functions", "function_call")  # what tools and tool_choice were before
PARTS = {
    "image": "picture",
    "image_url": "picture",
    "input_image": "picture",
    "audio": "sound",
    "audio_url": "sound",
    "input_audio": "sound",
    "video": "video",
    "video_url": "video",
    "file": "file",
    "input_file": "file",
}


class _Checked(BaseModel):
    """Unknown names are errors; null is as if it were not there."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        return {name: value for name, value in raw.items() if value is not None}


class _Open(_Checked):
    """Further fields are kept: templates may read them."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class TextPart(_Checked):
    """One part of a message's content; only text is understood."""

    type: Literal["text", "refusal"]
    text: str = ""
    refusal: str = ""


class CalledFunction(_Checked):
    """The function of a tool call; arguments come as JSON text."""

    name: str
    arguments: str | Json = "{}"


class ToolCall(_Checked):
    """A call that an earlier answer made; `index` is what a stream numbered it with."""

    id: str | None = None
    index: int | None = None
    type: Literal["function"] = "function"
    function: CalledFunction

    def plain(self) -> Json:
        """The call with its arguments as an object, as templates take it."""
        name, arguments = self.function.name, self.function.arguments
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}", parse_float=values.number)
            except ValueError:
                raise ApiError(400, "bad_tool_arguments", "messages", name=name) from None
        call: Json = {"type": "function", "function": {"name": name, "arguments": arguments}}
        return {"id": self.id, **call} if self.id else call


def _tool(raw: Json) -> Json:
    """A tool as templates take it, its own words untouched; a bare function is wrapped."""
    rest = {name: value for name, value in raw.items() if name != "type"}
    function = rest if "function" in raw else {"function": rest}
    return raw if raw.get("type") and "function" in raw else {"type": "function", **function}


class ChatMessage(_Open):
    """One message of the conversation; its further fields are the template's to read."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] = ""
    refusal: str = ""
    tool_calls: list[ToolCall] = []

    def plain(self) -> Json:
        """The internal shape of a message: text content, tool arguments as objects."""
        content = self.content
        if isinstance(content, list):
            content = "".join(part.text + part.refusal for part in content)
        content += self.refusal
        role = "system" if self.role == "developer" else self.role
        message: Json = {**(self.model_extra or {}), "role": role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = [call.plain() for call in self.tool_calls]
        return message


class StreamOptions(_Checked):
    """Whether the last chunk of a stream tells the token counts; chunks are never padded."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class ChatRequest(_Checked):
    """The body of POST /v1/chat/completions."""

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[Annotated[Json, AfterValidator(_tool)]] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(default=1, ge=1, le=MAX_CHOICES)
    stop: str | list[str] = []
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    reasoning_effort: str | None = None
    chat_template_kwargs: Json = {}

    def variables(self) -> Json:
        """What the request gives the chat template beside messages and tools."""
        variables = {n: v for n, v in self.chat_template_kwargs.items() if v is not None}
        if self.reasoning_effort is not None:
            variables.setdefault("reasoning_effort", self.reasoning_effort)
        return variables

    def stops(self) -> tuple[str, ...]:
        """The stop texts, empty ones left out."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop
        if len(stops) > MAX_STOPS:
            raise ApiError(400, "too_many_stops", "stop", limit=MAX_STOPS)
        return tuple(text for text in stops if text)

    def sampling(self, standard: Sampling) -> Sampling:
        """The sampling of this request; what it does not say is as the server was started."""
        fields = {
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            # torch's generator takes 64 bits; any other integer is folded into them
            "seed": None if self.seed is None else self.seed % 2**63,
        }
        changes = {name: value for name, value in fields.items() if value is not None}
        return replace(standard, stop=self.stops(), **changes)  # type: ignore[arg-type]


def parse(body: bytes) -> ChatRequest:
    """The request in a body; raises ApiError (400) that names the first wrong parameter."""
    try:
        # stricter than json.loads: no NaN, no half surrogates, no endless nesting
        raw = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise ApiError(400, "bad_json") from None
    if not isinstance(raw, dict):
        raise ApiError(400, "bad_json")
    raw = {name: value for name, value in raw.items() if name not in ACCEPTED}
    for name, neutral in NEUTRAL.items():
        value = raw.pop(name, None)
        if value is not None and value not in neutral:
            code = "use_tools" if name in OLD else "unsupported_parameter"
            raise ApiError(400, code, name, name=name)
        if value == "none":  # the tool_choice
            raw.pop("tools", None)
    _check_parts(raw.get("messages"))
    _check_tools(raw)
    try:
        return ChatRequest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise ApiError(400, "unknown_parameter", name, name=place[:200]) from None
        raise ApiError(400, "bad_parameter", name, name=place, reason=first["msg"]) from None


def _check_parts(messages: Any) -> None:
    """Raises ApiError (400) for a part of a message that is a picture, a sound, a file."""
    for place, part in _inside(messages, "messages", "content"):
        kind = part.get("type")
        if isinstance(kind, str) and kind not in {"text", "refusal"}:
            code = f"part_{PARTS.get(kind, 'unknown')}"
            raise ApiError(400, code, "messages", place=place, type=kind[:80])


def _check_tools(raw: Json) -> None:
    """Raises ApiError (400) for a tool, or a call of one, that is no function or has no name."""
    calls = _inside(raw.get("messages"), "messages", "tool_calls")
    tools = _items(raw.get("tools"), "tools")
    for param, places in (("tools", tools), ("messages", calls)):
        for place, tool in places:
            kind, function = tool.get("type") or "function", tool.get("function", tool)
            if kind != "function":
                raise ApiError(400, "tool_no_function", param, place=place, type=str(kind)[:80])
            name = function.get("name") if isinstance(function, dict) else None
            if not isinstance(name, str) or not name:
                raise ApiError(400, "tool_unnamed", param, place=place)


def _inside(messages: Any, place: str, field: str) -> Iterator[tuple[str, Json]]:
    """The objects in a list that each message has, with their places."""
    for outer, message in _items(messages, place):
        yield from _items(message.get(field), f"{outer}.{field}")


def _items(items: Any, place: str) -> Iterator[tuple[str, Json]]:
    """The objects in a list, with their places; other things are for the models to refuse."""
    for number, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield f"{place}.{number}", item
