"""Check the body of a chat completion request: every field has its effect, or is refused by name.

Fields: https://platform.openai.com/docs/api-reference/chat/create (those of the openai package
3.57), and top_k, min_p, repetition_penalty and chat_template_kwargs, which vLLM takes, too.
"""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from backend.data.rendering import SWITCHES
from backend.model.generation import Sampling
from backend.serving import sampled_request
from backend.serving.answer_format import Choice, ResponseFormat, ToolChoice
from backend.serving.answer_rules import AnswerRule
from backend.serving.messages import (
    ChatMessage,
    check_function,
    check_messages,
    check_results,
    objects,
)
from backend.serving.protocol import ApiError, Json
from backend.serving.sampled_request import (
    MAX_LIKELIEST,
    SampledRequest,
    read_object,
    validate,
)

ACCEPTED = sampled_request.ACCEPTED | {"prediction"}  # which only makes an answer faster
# Fields that are not supported, with the values that change nothing and are accepted.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (),
    "function_call": (),
    "functions": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "verbosity": ("medium",),
    "web_search_options": (),
}
OTHER_SCHEMAS = ("input_schema", "inputSchema")  # a tool's parameters in Anthropic's API, in MCP


def _tool(raw: Json) -> Json:
    """A tool as templates take it, with its own fields; a function without a frame gets one."""
    rest = {name: value for name, value in raw.items() if name != "type"}
    function = rest if "function" in raw else {"function": rest}
    return raw if raw.get("type") and "function" in raw else {"type": "function", **function}


class ChatRequest(SampledRequest):
    """The body of POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[Annotated[Json, AfterValidator(_tool)]] = Field(default=[])
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=MAX_LIKELIEST)
    reasoning_effort: str | None = None
    chat_template_kwargs: Json = Field(default={})
    response_format: ResponseFormat = ResponseFormat()
    tool_choice: Choice = ToolChoice()
    parallel_tool_calls: bool = True

    def tools_offered(self) -> list[Json]:
        """The tools that the model is shown. Raises ApiError (400) for a wrong tool_choice."""
        return self.tool_choice.tools_offered(self.tools)

    def rule(self) -> AnswerRule | None:
        """What the answer must be, if anything. Raises ApiError (400) for a wrong format."""
        schema = self.response_format.schema_of()
        one_call = not self.parallel_tool_calls
        return self.tool_choice.rule(self.tools_offered(), schema, one_call=one_call)

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

    def sampling(self, standard: Sampling) -> Sampling:
        """The sampling of this request, with values of `standard` where it has none.

        Raises ApiError (400) for top_logprobs without logprobs.
        """
        if self.top_logprobs and not self.logprobs:
            raise ApiError(400, "needs_logprobs", "top_logprobs")
        most = self.max_completion_tokens or self.max_tokens or standard.max_tokens
        logprobs = self.top_logprobs if self.logprobs else None
        return replace(self.common_sampling(standard), max_tokens=most, logprobs=logprobs)


def parse(body: bytes) -> ChatRequest:
    """Parse a request. Raises ApiError (400) with the place of the first error."""
    return check(read_object(body, ACCEPTED, NEUTRAL))


def check(raw: Json) -> ChatRequest:
    """Check the fields of a request. Raises ApiError (400) with the place of the first error."""
    for name in SWITCHES:
        if raw.get(name) is not None:
            raise ApiError(400, "use_template_kwargs", name, name=name)
    check_messages(raw.get("messages"))
    _check_tools(raw.get("tools"))
    request = validate(ChatRequest, raw)
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
