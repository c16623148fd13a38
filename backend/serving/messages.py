"""Check the messages of a chat completion request; each error names the place of its cause.

Message objects: https://platform.openai.com/docs/api-reference/chat/create, and the fields that
clients send back with an answer (openai 3.57, LiteLLM, OpenRouter, Gemini's OpenAI endpoint).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from backend.datafiles import values
from backend.datafiles.turns import THOUGHTS
from backend.serving.generation_request import SHOWN
from backend.serving.protocol import ApiError, Json

TEXTS = (*THOUGHTS, "name", "tool_call_id")  # fields of a message, beside content, that are texts
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


class StrictModel(BaseModel):
    """A model of pydantic that refuses unknown fields and ignores fields that are null."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        return {name: value for name, value in raw.items() if value is not None}


class _OpenModel(StrictModel):
    """A model that keeps further fields, as templates may read them."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class TextPart(StrictModel):
    """One part of a message's content, which must be text.

    The hints for a cache have no effect here.
    """

    type: Literal["text", "refusal"]
    text: str = ""
    refusal: str = ""
    cache_control: Any = None
    prompt_cache_breakpoint: Any = None


class FunctionCall(StrictModel):
    """The function of a tool call: its arguments as JSON text or as an object.

    `parsed_arguments`, which the openai package adds, repeats them.
    """

    name: str
    arguments: Any = "{}"
    parsed_arguments: Any = None
    provider_specific_fields: Any = None


class ToolCall(StrictModel):
    """A tool call in an earlier answer.

    `index` is its number in a stream; `extra_content` and `provider_specific_fields` are signatures
    of other providers (Gemini's thought signature), which have no effect here.
    """

    id: str | None = None
    index: int | None = None
    type: Literal["function"] = "function"
    function: FunctionCall
    extra_content: Any = None
    provider_specific_fields: Any = None

    def to_template(self) -> Json:
        """The call with its arguments as an object, as templates take it."""
        arguments = self.function.arguments
        if isinstance(arguments, str):
            arguments = _decode_arguments(arguments)
        function = {"name": self.function.name, "arguments": arguments}
        call: Json = {"type": "function", "function": function}
        return {"id": self.id, **call} if self.id else call


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class ChatMessage(_OpenModel):
    """One message of the conversation; its further fields are for the template."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[list[TextPart], BeforeValidator(_as_parts)] = []
    refusal: str = ""
    tool_calls: list[ToolCall] = []

    def to_template(self) -> Json:
        """The message as templates take it: content as text, tool arguments as objects."""
        content = "".join(part.text + part.refusal for part in self.content) + self.refusal
        role = "system" if self.role == "developer" else self.role
        message: Json = {**(self.model_extra or {}), "role": role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = [call.to_template() for call in self.tool_calls]
        return message


def check_messages(messages: Any) -> None:
    """Raises ApiError (400) in our own words for common errors, before pydantic's checks."""
    for place, message in objects(messages, "messages"):
        role, content = message.get("role"), message.get("content")
        if role == "function":
            raise ApiError(400, "use_role_tool", f"{place}.role", place=f"{place}.role")
        if role == "assistant" and message.get("function_call"):
            name = f"{place}.function_call"
            raise ApiError(400, "use_tool_calls", name, place=name)
        for name in TEXTS:
            if not isinstance(message.get(name), str | None):
                raise ApiError(400, "not_text", f"{place}.{name}", place=f"{place}.{name}")
        _check_content(content, f"{place}.content")
        for call_place, call in objects(message.get("tool_calls"), f"{place}.tool_calls"):
            check_function(call, call_place)
            _check_arguments(call.get("function", call), f"{call_place}.function.arguments")


def _check_content(content: Any, place: str) -> None:
    """Raises ApiError (400) for content that is not text, like a picture, sound, video or file."""
    are_parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
    if not (are_parts or isinstance(content, str | None)):
        raise ApiError(400, "bad_content", place, place=place)
    for part_place, part in objects(content, place):
        kind = part.get("type")
        if isinstance(kind, str) and kind not in {"text", "refusal"}:
            code = f"part_{PARTS.get(kind, 'unknown')}"
            raise ApiError(400, code, part_place, place=part_place, type=kind[:SHOWN])


def check_function(tool: Json, place: str) -> None:
    """Raises ApiError (400) for a tool, or a call, that is not a function or has no name."""
    kind, function = tool.get("type") or "function", tool.get("function", tool)
    if kind != "function":
        raise ApiError(400, "tool_no_function", place, place=place, type=str(kind)[:SHOWN])
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise ApiError(400, "tool_unnamed", place, place=place)


def _check_arguments(function: Json, place: str) -> None:
    arguments = function.get("arguments")
    if isinstance(arguments, dict | None):
        return
    if isinstance(arguments, str):
        with suppress(ValueError):
            _decode_arguments(arguments)
            return
    raise ApiError(400, "bad_tool_arguments", place, name=function["name"][:SHOWN])


def _decode_arguments(arguments: str) -> Any:
    return json.loads(arguments or "{}", parse_float=values.number)


def check_results(messages: Sequence[ChatMessage]) -> None:
    """Raises ApiError (400) where it is unclear which call a tool result answers.

    Where no call, or no result, has an id, results belong to the calls in their order.
    """
    calls: list[ToolCall] = []
    start = 0
    for number, message in enumerate([*messages, None]):
        if message is not None and message.role == "tool":
            continue
        _check_round(calls, start, messages[start:number])
        calls, start = (message.tool_calls if message else []), number + 1


def _check_round(calls: list[ToolCall], start: int, results: Sequence[ChatMessage]) -> None:
    """Check the results behind a message with these calls; `start` is the first result's index."""
    ids = [call.id for call in calls if call.id]
    answers = [str((result.model_extra or {}).get("tool_call_id") or "") for result in results]
    if not any(answers) or len(ids) < len(calls):
        return
    if not calls:
        place = f"messages.{start}"
        raise ApiError(400, "result_without_call", place, place=place)
    known = ", ".join(ids)[:SHOWN]
    for number, answer in enumerate(answers):
        place = f"messages.{start + number}.tool_call_id"
        words = {"place": place, "id": answer[:SHOWN], "known": known}
        if not answer:
            raise ApiError(400, "result_unnamed", place, **words)
        if answer not in ids:
            raise ApiError(400, "result_unknown", place, **words)
        if answer in answers[:number]:
            raise ApiError(400, "result_twice", place, **words)
    for number, name in enumerate(ids):
        place = f"messages.{start - 1}.tool_calls.{number}"
        if name in ids[:number]:
            place = f"{place}.id"
            raise ApiError(400, "call_id_twice", place, place=place, id=name[:SHOWN])
        if name not in answers:
            raise ApiError(400, "call_unanswered", place, place=place, id=name[:SHOWN])


def objects(items: Any, place: str) -> Iterator[tuple[str, Json]]:
    """Yield the objects in a list with their places; pydantic's models refuse other items."""
    for number, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield f"{place}.{number}", item
