"""The fields of a request that say what its answer must be: response_format and tool_choice."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from backend.serving.answer_rules import ANY_OBJECT, AnswerRule
from backend.serving.messages import StrictModel
from backend.serving.protocol import ApiError, Json


class JsonSchema(StrictModel):
    """A JSON schema; it is enforced whether it is `strict` or not."""

    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    schema_: Json = Field(alias="schema")
    strict: bool = False


class ResponseFormat(StrictModel):
    """Free text, any JSON object, or JSON by a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    def schema_of(self) -> Json | None:
        """The schema of the answer; None for text. Raises ApiError (400) where it is missing."""
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise ApiError(400, "schema_and_type", "response_format")
        if self.json_schema is not None:
            return self.json_schema.schema_
        return ANY_OBJECT if self.type == "json_object" else None


class NamedFunction(StrictModel):
    """A function by its name."""

    name: str


class NamedTool(StrictModel):
    """A tool by its function's name."""

    type: Literal["function"] = "function"
    function: NamedFunction


class AllowedTools(StrictModel):
    """Some of the tools, which can or must be called."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1)


class ToolChoice(StrictModel):
    """Whether tools are called: as the model likes, not at all, at least one, or this one."""

    type: Literal["auto", "none", "required", "function", "allowed_tools"] = "auto"
    function: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None

    def tools_offered(self, tools: list[Json]) -> list[Json]:
        """The tools that the model is shown.

        Raises ApiError (400) for a name that is none of theirs, and where a call is a must without
        tools.
        """
        names = self._names()
        known = [tool["function"]["name"] for tool in tools]
        for name in names:
            if name not in known:
                words = {"name": name[:80], "known": ", ".join(known) or "-"}
                raise ApiError(400, "choice_unknown", "tool_choice", **words)
        if self.must_call and not tools:
            raise ApiError(400, "choice_without_tools", "tool_choice")
        if self.type == "none":
            return []
        if self.type == "allowed_tools":
            return [tool for tool in tools if tool["function"]["name"] in names]
        return tools

    @property
    def must_call(self) -> bool:
        """Whether the answer must be a call."""
        mode = self.allowed_tools.mode if self.allowed_tools else self.type
        return mode in {"required", "function"}

    def rule(self, tools: list[Json], schema: Json | None, *, one_call: bool) -> AnswerRule | None:
        """What the answer must be, with these tools; None for what the model likes."""
        strict = any(tool["function"].get("strict") for tool in tools)
        if schema is None and not self.must_call and not strict:
            return None
        named = self._names() if self.type == "function" else ()
        names = named or tuple(tool["function"]["name"] for tool in tools)
        return AnswerRule(schema=schema, must_call=self.must_call, names=names, one_call=one_call)

    def _names(self) -> tuple[str, ...]:
        if (self.function is None) == (self.type == "function") or (
            (self.allowed_tools is None) == (self.type == "allowed_tools")
        ):
            raise ApiError(400, "choice_and_type", "tool_choice")
        if self.allowed_tools is not None:
            return tuple(tool.function.name for tool in self.allowed_tools.tools)
        return (self.function.name,) if self.function else ()


def _with_type(choice: Any) -> Any:
    return {"type": choice} if isinstance(choice, str) else choice


Choice = Annotated[ToolChoice, BeforeValidator(_with_type)]
