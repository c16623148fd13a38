"""Values to command line and YAML and back, all checked against the rows.

Everything here collects *all* problems before it complains. A value is written iff it differs from
its row's default, and iff its `when` holds.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from backend.contract.field import Field, FieldError, Value, Values
from backend.contract.fields import ALIASES, FIELDS, LATER
from backend.contract.files import read_mapping, write_mapping
from backend.contract.problems import Problem
from backend.contract.rules import broken


def fields_of(task: str) -> list[Field]:
    """The rows that a subcommand takes, in the order of the table."""
    return [row for row in FIELDS.values() if task in row.tasks]


def defaults(task: str) -> Values:
    """Each argument of a subcommand at its default."""
    return {row.name: row.default for row in fields_of(task)}


def active(values: Mapping[str, Value], task: str) -> list[Field]:
    """The rows that apply, given the values of the others (missing ones count as default)."""
    whole = {**defaults(task), **values}
    return [row for row in fields_of(task) if row.active(whole)]


def canonical(values: Mapping[str, Value], task: str) -> Values:
    """Every argument of the subcommand; what does not apply is at its default."""
    rows = {row.name for row in active(values, task)}
    return {
        name: values[name] if name in rows and name in values else default
        for name, default in defaults(task).items()
    }


def changed(values: Mapping[str, Value], task: str) -> Values:
    """Only what applies and differs from the default: what is written to a command or file."""
    start = defaults(task)
    return {name: value for name, value in canonical(values, task).items() if value != start[name]}


def parse(raw: Mapping[str, object], task: str) -> tuple[Values, list[Problem]]:
    """All values of a subcommand from raw ones (text or YAML types), and every problem found."""
    values = defaults(task)
    problems: list[Problem] = []
    for given, value in raw.items():
        name = ALIASES.get(given, given)
        row = FIELDS.get(name)
        if row is None:
            problems.append(_unknown(given, task))
        elif task not in row.tasks:
            problems.append(Problem(code="other_task", field=name, params={"task": task}))
        else:
            try:
                values[name] = row.parse(value)
            except FieldError as error:
                problems.append(error.problem)
    return values, problems


def validate(raw: Mapping[str, object], task: str) -> list[Problem]:
    """Every problem of a set of values: each field by its row, then the rules across fields."""
    values, problems = parse(raw, task)
    wrong = {problem.field for problem in problems}
    applying = {row.name for row in active(values, task)}
    problems = [p for p in problems if p.field not in FIELDS or p.field in applying]
    return problems + [p for p in broken(values, task) if p.field not in wrong]


def to_argv(values: Mapping[str, Value], task: str) -> list[str]:
    """`--name value` pairs of what differs from the defaults; secrets never.

    A value that begins with a dash is written `--name=value`, so that it cannot read as an option.
    """
    argv: list[str] = []
    for name, value in changed(values, task).items():
        if FIELDS[name].secret:
            continue
        text = format_value(value)
        argv += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return argv


def format_value(value: Value) -> str:
    """A value as one word of a command line; floats keep every digit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else repr(value) if isinstance(value, float) else str(value)


def from_argv(argv: Sequence[str], task: str) -> tuple[Values, list[Problem]]:
    """Values from `[file.yaml] --name value | --name=value | name=value | --flag`, and all problems."""
    words = list(argv)
    raw: dict[str, object] = {}
    problems: list[Problem] = []
    if words and not words[0].startswith("-") and words[0].endswith((".yaml", ".yml", ".json")):
        content, file_problems = read_mapping(words.pop(0))
        raw.update(content)
        problems += file_problems
    given, more = _pairs(words)
    raw.update(given)
    values, wrong = parse(raw, task)
    return values, problems + more + wrong


def _pairs(words: list[str]) -> tuple[dict[str, object], list[Problem]]:
    raw: dict[str, object] = {}
    problems: list[Problem] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if equals and name:
            raw[name.replace("-", "_")] = value
        elif not word.startswith("--"):
            problems.append(Problem(code="stray_word", params={"word": word[:80]}))
        elif words and not words[0].startswith("--"):
            raw[name.replace("-", "_")] = words.pop(0)
        else:
            raw[name.replace("-", "_")] = "true"
    return raw, problems


def to_yaml(values: Mapping[str, Value], task: str) -> str:
    """What differs from the defaults, as YAML that `tuneboard <task> file.yaml` accepts; no secrets."""
    return write_mapping(
        {name: value for name, value in changed(values, task).items() if not FIELDS[name].secret}
    )


def from_yaml(path: str, task: str) -> tuple[Values, list[Problem]]:
    """Values from a YAML or JSON file; problems name the line."""
    content, problems = read_mapping(path)
    values, wrong = parse(content, task)
    return values, problems + wrong


def resolved(values: Values) -> Values:
    """Values with what follows from others filled in: lora_alpha is twice lora_rank when unset."""
    rank = values.get("lora_rank")
    if "lora_alpha" in values and values["lora_alpha"] is None and isinstance(rank, int):
        return {**values, "lora_alpha": 2 * rank}
    return values


def _unknown(name: str, task: str) -> Problem:
    if name in LATER:
        return Problem(code="not_supported_yet", field=name)
    near = suggest(name, [row.name for row in fields_of(task)])
    if near:
        return Problem(code="unknown_argument_near", field=name[:80], params={"near": near})
    return Problem(code="unknown_argument", field=name[:80], params={"task": task})


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or ""."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), "")
