"""Check the body of a chat completion request: every field has its effect, or is refused by name.

Fields: https://platform.openai.com/docs/api-reference/chat/create (those of the openai package
3.57), and top_k, min_p, repetition_penalty and chat_template_kwargs, which vLLM takes, too.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import from_json

from backend.data.rendering import SWITCHES
from backend.model.generation import Sampling
from backend.serving.messages import (
    ChatMessage,
    StrictModel,
    check_function,
    check_messages,
    check_results,
    objects,
)
from backend.serving.protocol import ApiError, Json

MAX_CHOICES = 8
MAX_STOPS = 16
# Fields about the request and not about the answer: they are accepted without effect.
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
# Fields that are not supported, with the values that change nothing and are accepted.
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
OTHER_SCHEMAS = ("input_schema", "inputSchema")  # a tool's parameters in Anthropic's API, in MCP


def _tool(raw: Json) -> Json:
    """A tool as templates take it, with its own fields; a function without a frame gets one."""
    rest = {name: value for name, value in raw.items() if name != "type"}
    function = rest if "function" in raw else {"function": rest}
    return raw if raw.get("type") and "function" in raw else {"type": "function", **function}


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class StreamOptions(StrictModel):
    """Whether the last chunk of a stream has the token counts; chunks are never padded."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class ChatRequest(StrictModel):
    """The body of POST /v1/chat/completions."""

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[Annotated[Json, AfterValidator(_tool)]] = Field(default=[])
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(default=1, ge=1, le=MAX_CHOICES)
    stop: Annotated[list[str], BeforeValidator(_as_list)] = Field(default=[])
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    reasoning_effort: str | None = None
    chat_template_kwargs: Json = Field(default={})

    def variables(self) -> Json:
        """The variables for the chat template beside messages and tools.

        Raises ApiError (400) for two different values of reasoning_effort.
        """
        variables = {n: v for n, v in self.chat_template_kwargs.items() if v is not None}
        effort = self.reasoning_effort
        if effort is None:
            return variables
        if variables.setdefault("reasoning_effort", effort) != effort:
            raise ApiError(400, "two_efforts", "reasoning_effort")
        return variables

    def stops(self) -> tuple[str, ...]:
        """The stop texts without empty ones. Raises ApiError (400) for too many."""
        if len(self.stop) > MAX_STOPS:
            raise ApiError(400, "too_many_stops", "stop", limit=MAX_STOPS)
        return tuple(text for text in self.stop if text)

    def sampling(self, standard: Sampling) -> Sampling:
        """The sampling of this request, with values of `standard` where it has none."""
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
    """Parse a request. Raises ApiError (400) with the place of the first error."""
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
    for name in SWITCHES:
        if raw.get(name) is not None:
            raise ApiError(400, "use_template_kwargs", name, name=name)
    check_messages(raw.get("messages"))
    _check_tools(raw.get("tools"))
    try:
        request = ChatRequest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        if first["type"] == "extra_forbidden":
            raise ApiError(400, "unknown_parameter", place, name=place) from None
        raise ApiError(400, "bad_parameter", place, name=place, reason=first["msg"]) from None
    check_results(request.messages)
    return request


def _check_tools(tools: Any) -> None:
    """Raises ApiError (400) for a tool that is not a function, has no name, or has its schema under
    the name of another API, which templates do not read."""
    for place, tool in objects(tools, "tools"):
        check_function(tool, place)
        for name in OTHER_SCHEMAS:
            if name in tool.get("function", tool):
                name_place = f"{place}.function.{name}" if "function" in tool else f"{place}.{name}"
                raise ApiError(400, "use_parameters", name_place, place=name_place)
