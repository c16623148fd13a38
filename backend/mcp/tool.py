"""A tool that an agent can call: what it takes, what it answers, and how its errors are worded."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from mcp.types import Tool as Description
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, ValidationError

from backend.contract.texts.log_text import mask


class Input(BaseModel):
    """What a tool takes; a name that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Tool:
    """A function with one typed argument, whose docstring an agent reads.

    reads       whether it changes nothing
    destroys    whether it may end or replace something
    repeatable  whether a second call with the same input changes nothing further
    open_world  whether it may reach other machines, such as a hub
    """

    title: str
    run: Callable[[Any], BaseModel | Awaitable[BaseModel]]
    reads: bool = True
    destroys: bool = False
    repeatable: bool = False
    open_world: bool = False

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.run.__name__

    @cached_property
    def input(self) -> type[Input]:
        """The model of its input."""
        hints = get_type_hints(self.run)
        name = next(iter(inspect.signature(self.run).parameters))
        model: type[Input] = hints[name]
        return model

    @property
    def output(self) -> type[BaseModel]:
        """The model of its answer."""
        model: type[BaseModel] = get_type_hints(self.run)["return"]
        return model

    def describe(self) -> Description:
        """What a client is told of it."""
        return Description(
            name=self.name,
            title=self.title,
            description=inspect.getdoc(self.run),
            input_schema=self.input.model_json_schema(),
            output_schema=self.output.model_json_schema(mode="serialization"),
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.reads,
                destructive_hint=self.destroys,
                idempotent_hint=self.reads or self.repeatable,
                open_world_hint=self.open_world,
            ),
        )

    def describe_errors(self, error: ValidationError) -> str:
        """What is wrong with an input, a line for each field."""
        return "\n".join(self._describe(dict(each)) for each in error.errors())

    def _describe(self, error: dict[str, Any]) -> str:
        place = ".".join(map(str, error["loc"])) or "input"
        if error["type"] == "extra_forbidden":
            known = ", ".join(self.input.model_fields) or "nothing"
            return f"{place}: {self.name} does not take this; it takes {known}."
        return f"{place}: {error['msg']}."


def to_json(answer: BaseModel) -> dict[str, Any]:
    """An answer as JSON values, with secrets masked."""
    masked: dict[str, Any] = _mask(answer.model_dump(mode="json"))
    return masked


def to_text(content: dict[str, Any]) -> str:
    """The same for clients that only read text."""
    return json.dumps(content, ensure_ascii=False, indent=1)


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _mask(part) for name, part in value.items()}
    return [_mask(part) for part in value] if isinstance(value, list) else value
