"""The body of POST /v1/responses as a chat completion request, which it is answered as.

Fields: https://platform.openai.com/docs/api-reference/responses/create (openai package 3.57).
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from backend.serving.generation_request import SHOWN
from backend.serving.messages import StrictModel
from backend.serving.protocol import ApiError, Json
from backend.serving.request import ChatRequest, check
from backend.serving.sampled_request import (
    ACCEPTED,
    MAX_LIKELIEST,
    StreamOptions,
    read_object,
    validate,
)

NEUTRAL: dict[str, tuple[object, ...]] = {
    "access_programs": (),
    "background": (False,),
    "background_options": (),
    "context_management": ([],),
    "conversation": (),
    "image": (),
    "max_tool_calls": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "truncation": ("disabled",),
}
LOGPROBS = "message.output_text.logprobs"
INCLUDED = {LOGPROBS, "reasoning.encrypted_content"}  # there is no such content here
# Fields that mean the same in both APIs.
SHARED = (
    *("model", "stream", "temperature", "top_p", "parallel_tool_calls"),
    *("top_k", "min_p", "repetition_penalty", "seed", "chat_template_kwargs"),
)
CONTENT = {"input_text": "text", "output_text": "text", "refusal": "refusal"}


class Reasoning(StrictModel):
    """How much is thought; summaries are never made."""

    effort: str | None = None
    summary: Any = None
    generate_summary: Any = None


class TextConfig(StrictModel):
    """The form of the answer; its length is the model's choice."""

    format: Json = Field(default={})
    verbosity: Any = None


def _as_items(raw: Any) -> Any:
    return [{"role": "user", "content": raw}] if isinstance(raw, str) else raw


class ResponsesRequest(StrictModel):
    """The body of a request, before its parts are read as those of a chat."""

    input: Annotated[list[Json], BeforeValidator(_as_items)] = Field(min_length=1)
    instructions: str = ""
    max_output_tokens: int | None = Field(default=None, ge=1)
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    min_p: Any = None
    repetition_penalty: Any = None
    seed: Any = None
    chat_template_kwargs: Any = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_LIKELIEST)
    include: list[str] = Field(default=[])
    reasoning: Reasoning = Reasoning()
    text: TextConfig = TextConfig()
    tools: list[Json] = Field(default=[])
    tool_choice: Any = None
    parallel_tool_calls: bool = True

    def to_chat(self) -> ChatRequest:
        """The same as a chat completion request. Raises ApiError (400) for what cannot be done."""
        for name in self.include:
            if name not in INCLUDED:
                raise ApiError(
                    400, "unsupported_parameter", "include", name=f"include: {name[:80]}"
                )
        if self.text.verbosity not in (None, "medium"):
            raise ApiError(400, "unsupported_parameter", "text.verbosity", name="text.verbosity")
        chat: Json = {
            **{name: getattr(self, name) for name in SHARED},
            "messages": _messages(self.instructions, self.input),
            "max_completion_tokens": self.max_output_tokens,
            "logprobs": LOGPROBS in self.include or self.top_logprobs is not None,
            "top_logprobs": self.top_logprobs,
            "reasoning_effort": self.reasoning.effort,
            "response_format": _format(self.text.format),
            "tools": [_nest(tool, "function") for tool in self.tools],
            "tool_choice": _choice(self.tool_choice),
        }
        try:
            return check({name: value for name, value in chat.items() if value is not None})
        except ApiError as error:
            if error.param and error.param.startswith("messages"):
                error.param = "input" + error.param.removeprefix("messages")
            raise


def read(body: bytes) -> ResponsesRequest:
    """Read a request. Raises ApiError (400) with the place of the first error."""
    return validate(ResponsesRequest, read_object(body, ACCEPTED, NEUTRAL))


def _nest(item: Json, kind: str) -> Json:
    """An object whose fields stand in one named after its type, as in a chat."""
    if item.get("type") != kind or kind in item:
        return item
    return {"type": kind, kind: {name: each for name, each in item.items() if name != "type"}}


def _format(form: Json) -> Json | None:
    return _nest(form, "json_schema") or None


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        tools = choice.get("tools")
        listed = tools if isinstance(tools, list) else []
        named = [_nest(tool, "function") if isinstance(tool, dict) else tool for tool in listed]
        return _nest({**choice, "tools": named}, "allowed_tools")
    return _nest(choice, "function")


def _messages(instructions: str, items: list[Json]) -> list[Json]:
    """The items of a conversation as messages; calls belong to the message before them."""
    messages: list[Json] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    thought = ""
    for number, item in enumerate(items):
        kind = item.get("type") or "message"
        if kind == "reasoning":
            thought += _thought_text(item)
            continue
        if kind == "function_call":
            answer = _answer_before(messages)
            answer.setdefault("tool_calls", []).append(_call(item))
        elif kind == "message":
            messages.append(_message(item))
        elif kind == "function_call_output":
            content = _content(item.get("output"))
            call = item.get("call_id")
            messages.append({"role": "tool", "tool_call_id": call, "content": content})
        else:
            place = f"input.{number}"
            raise ApiError(400, "item_unknown", place, place=place, type=str(kind)[:SHOWN])
        if thought and messages[-1]["role"] == "assistant":
            messages[-1]["reasoning_content"], thought = thought, ""
    return messages


def _answer_before(messages: list[Json]) -> Json:
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": ""})
    return messages[-1]


def _message(item: Json) -> Json:
    """A message without what an earlier answer has beside its role and content."""
    dropped = {"type", "id", "status", "phase"}
    rest = {name: each for name, each in item.items() if name not in dropped}
    return {**rest, "content": _content(item.get("content"))}


def _call(item: Json) -> Json:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _thought_text(item: Json) -> str:
    parts = item.get("content") or []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _content(content: Any) -> Any:
    """The parts of a content under the names of a chat; others are refused there by name."""
    if not isinstance(content, list):
        return content
    return [_part(part) if isinstance(part, dict) else part for part in content]


def _part(part: Json) -> Json:
    kind = CONTENT.get(str(part.get("type")))
    return part if kind is None else {"type": kind, kind: part.get(kind, "")}
