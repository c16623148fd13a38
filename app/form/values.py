"""Values of arguments as a form holds them, and back.

A form holds texts, but for a switch (true or false) and a list of names (a list of texts). Numbers
are texts, so that nothing is rounded.
"""

from typing import Any

from backend.contract.arguments.field import Field, Value

OPTIONAL_BOOL = ("none", "true", "false")
# Fields that offer names and take any other, too.
OFFERING = {"dataset", "adapter", "template", "model", "reward_model"}


def offers_names(field: Field) -> bool:
    """Whether a field offers names, of which one of a person's own may be another."""
    return field.widget in OFFERING or (field.kind == "list" and bool(field.choices))


def options(field: Field) -> tuple[str, ...]:
    """The only values that a field takes; () where it takes others."""
    if field.kind == "bool" and field.optional:
        return OPTIONAL_BOOL
    if field.kind == "choice":
        return (("none",) if field.optional else ()) + field.choices
    return ()


def display(field: Field, value: Value) -> Any:
    """A value of an argument as the form holds it."""
    if offers_names(field):
        if field.kind == "list":
            return str(value).split(",") if value else []
        return "" if value is None else value
    if field.kind == "bool" and not field.optional:
        return value
    if value is None:
        return "none" if options(field) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def plain(value: Any) -> object:
    """What a form holds, as the argument table parses it; an empty text means "not set"."""
    if isinstance(value, list):
        return ",".join(str(part) for part in value) or None
    return None if value == "" else value


def check(value: Any) -> dict[str, Any]:
    """The values of a form that came from a browser, by name; {} where there are none. What each
    may be is judged by the row of its argument."""
    return {str(name): each for name, each in value.items()} if isinstance(value, dict) else {}
