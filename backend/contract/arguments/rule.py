"""A rule across several arguments. The rules themselves are data in the modules beside this one."""

from dataclasses import dataclass
from typing import cast

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value, Values

Condition = tuple[str, str, Value | tuple[Value, ...]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`problem.<code>` is shown at `field` where every condition (argument, operator, value) holds.

    Operators: "is" (one of the values), "not" (none of them), "set", "unset", "several" (a list
    of more than one), "lists" (a list that has the value), "above" and "below" (a number), "not
    below" (the argument of that name).
    """

    code: str
    field: str
    conditions: tuple[Condition, ...]
    tasks: tuple[str, ...] = ("train",)
    notice: bool = False

    def is_broken(self, values: Values) -> bool:
        """Whether every condition holds."""
        return all(_holds(condition, values) for condition in self.conditions)


def _holds(condition: Condition, values: Values) -> bool:
    name, operator, wanted = condition
    value = values.get(cast(ArgumentName, name))  # a test checks the names of all rules
    if operator in {"is", "not"}:
        options = wanted if isinstance(wanted, tuple) else (wanted,)
        return (value in options) == (operator == "is")
    if operator in {"set", "unset"}:
        return (value in (None, "", False)) == (operator == "unset")
    if operator == "several":
        return isinstance(value, str) and "," in value
    if operator == "lists":
        return str(wanted) in [part.strip() for part in str(value or "").split(",")]
    limit = values.get(cast(ArgumentName, wanted)) if operator == "not below" else wanted
    if not isinstance(value, int | float) or not isinstance(limit, int | float):
        return False
    if operator == "below":
        return value < limit
    return value > limit or (operator == "not below" and value == limit)
