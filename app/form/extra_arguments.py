"""Read the box "Extra arguments" (JSON or name=value lines) and merge it over the form's values."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from backend.contract.arguments.arguments import (
    active_fields,
    canonical_name,
    defaults,
    format_value,
    parse,
    report_ignored,
)
from backend.contract.arguments.field import Values
from backend.contract.system.files import parse_mapping
from backend.contract.texts.problems import Problem

BOX = "extra_args"


def read(text: str) -> tuple[dict[str, object], list[Problem]]:
    """The arguments by name, from a JSON object or from lines `name=value`, and the problems."""
    text = text.strip()
    if text.startswith("{"):
        mapping, problems = parse_mapping(text.encode("utf-8", "replace"), "extra.json")
        return dict(mapping), [replace(problem, field=BOX) for problem in problems]
    pairs: dict[str, object] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.removeprefix("--").partition("=")
        if not equals or not name.strip():
            return {}, [Problem(code="extra_line", field=BOX, params={"line": line[:80]})]
        pairs[name.strip().replace("-", "_")] = value
    return pairs, []


def merge(raw: Mapping[str, object], text: str, task: str) -> tuple[Values, list[Problem]]:
    """Checked values of `raw` with the box's arguments over them, and every problem.

    A value of `raw` that does not apply is put at its default. A problem of an argument in the box
    is shown at the box, also where the argument does not apply.
    """
    more, unread = read(text)
    own = _names(more)
    values, problems = parse({**raw, **more}, task)
    idle = set(raw) - own - {field.name for field in active_fields(values, task)}
    reset = {name: default for name, default in defaults(task).items() if name in idle}
    return {**values, **reset}, unread + _at_box([*problems, *report_ignored(values, task)], own)


def name_arguments(text: str) -> set[str]:
    """The arguments that the box's text sets."""
    return _names(read(text)[0])


def _names(more: Iterable[str]) -> set[str]:
    return {canonical_name(name)[:80] for name in more}


def _at_box(problems: Sequence[Problem], own: set[str]) -> list[Problem]:
    """The problems, with those of the box's arguments at the box; other notices are left out."""
    return [
        replace(problem, field=BOX, params={**problem.params, "field": problem.field})
        if problem.field in own
        else problem
        for problem in problems
        if problem.field in own or not problem.notice
    ]


def leave_out(text: str, names: Collection[str]) -> str:
    """The box's text without these arguments; as it is where it holds none of them."""
    more, _ = read(text)
    rest = {name: value for name, value in more.items() if canonical_name(name) not in names}
    return text if len(rest) == len(more) else to_text(cast(Values, rest))


def to_text(values: Values) -> str:
    """Values as text for the box: lines, or JSON where a value has several lines."""
    lines = [f"{name}={format_value(value)}" for name, value in values.items()]
    if any("\n" in line or line != line.rstrip() for line in lines):
        return json.dumps(values, ensure_ascii=False)
    return "\n".join(lines)
