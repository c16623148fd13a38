"""Write `--help` of each subcommand, docs/reference.md and the typed arguments from the table.

python -m backend.contract.reference write|check: `check` exits with 1 where docs/reference.md or
the typed arguments (contract/arguments/generated) are stale.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.contract.arguments.arguments import fields_of, format_value, needs
from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS
from backend.contract.arguments.foreign import ALIASES, FOREIGN
from backend.contract.arguments.foreign.answer import Foreign
from backend.contract.arguments.typed_source import typed_sources
from backend.contract.runs.resume_kinds import LAUNCH, ON_RESUME
from backend.contract.system.files import write_atomic
from backend.contract.texts.command_parser import help_option
from backend.contract.texts.locales import DEFAULT_LANGUAGE, t
from backend.contract.texts.terminal_text import WIDTH, wrap

FILE = "docs/reference.md"
INDENT = " " * 6
PIPE = r"\|"  # within a cell of a table


def reference() -> str:
    """docs/reference.md: one table for each group of arguments."""
    parts = [f"# {t('reference.title')}", t("reference.intro")]
    for group in GROUPS:
        fields = [field for field in FIELDS.values() if field.group == group]
        parts.append(f"## {t(f'group.{group}')}")
        parts.append("\n".join([*_head(), *map(_line, fields)]))
    parts += [f"## {t('reference.foreign.title')}", t("reference.foreign.intro")]
    others = {**{name: f"`{field}`" for name, field in ALIASES.items()}, **_answers()}
    titles = [t(f"reference.column.{title}") for title in ("name", "here")]
    lines = [f"| `{name}` | {text.replace('|', PIPE)} |" for name, text in sorted(others.items())]
    parts.append("\n".join([f"| {' | '.join(titles)} |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def _answers() -> dict[str, str]:
    """What each foreign name does here: the fields it stands for, or the texts of its answers."""
    return {name: "; ".join(_answer(foreign)) for name, foreign in FOREIGN.items()}


def _answer(foreign: Foreign) -> Iterator[str]:
    for value, meaning in foreign.becomes.items():
        rows = ", ".join(f"`{name}={format_value(part)}`" for name, part in meaning.items())
        yield f"`{format_value(value)}`: {rows or t('reference.foreign.nothing')}"
    codes = [foreign.because] if foreign.idle is None or foreign.idle else []
    values = "/".join(map(format_value, foreign.idle or ()))
    for code in [*codes, *filter(None, [foreign.instead])]:
        params = {"field": foreign.name, "owner": foreign.owner, "value": values}
        text = t(f"problem.{code}", **params).removeprefix(foreign.name)
        yield text.removeprefix(":").strip().rstrip(".")


def help_text(task: str, lang: str = DEFAULT_LANGUAGE) -> str:
    """What `tuneboard <task> --help` prints: arguments by group, at most 100 columns wide."""
    fields = fields_of(task)
    lines = [t("reference.usage", lang, task=task), "", t(f"command.{task}.about", lang)]
    lines += ["", *help_option(lang), "", *wrap(t("reference.forms", lang))]
    for group in GROUPS:
        members = [field for field in fields if field.group == group]
        if members:
            lines += ["", f"{t(f'group.{group}', lang)}:"]
            lines += [line for field in members for line in _entry(field, task, lang)]
    return "\n".join(lines)


def _entry(field: Field, task: str, lang: str) -> list[str]:
    """One argument of --help: its name and kind, then help, default and limits below."""
    details = [t("reference.default", lang, value=format_value(field.default_in(task)))]
    if _limits(field):
        details.append(t("reference.values", lang, values=_limits(field)))
    if field.conditions(task):
        details.append(t("reference.needs", lang, needs=needs(field, task)))
    if field.secret:
        details.append(t("reference.secret", lang, name=field.to))
    text = t(f"field.{field.name}.help", lang) + t(
        "reference.details", lang, all="; ".join(details)
    )
    lines = [f"{INDENT}{line}" for line in wrap(text, WIDTH - len(INDENT))]
    return [f"  --{field.name} {field.kind.upper()}", *lines]


def _head() -> list[str]:
    titles = ("name", "kind", "default", "values", "needs", "tasks", "help")
    cells = [t(f"reference.column.{title}") for title in titles]
    return [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]


def _line(field: Field) -> str:
    kind = f"{field.kind}, {t('reference.secret', name=field.to)}" if field.secret else field.kind
    cells = [
        f"`{field.name}`",
        kind,
        _default(field),
        _limits(field),
        _needs(field),
        ", ".join(field.tasks),
        t(f"field.{field.name}.help").replace("<", "&lt;") + _resume_note(field),
    ]
    return f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |"


def _resume_note(field: Field) -> str:
    """What happens to a changed value when a training is resumed, unless it is used."""
    if "train" not in field.tasks or field.name in LAUNCH or ON_RESUME[field.name].kind == "taken":
        return ""
    return " " + t("reference.resumed", kind=t(f"resume.kind.{ON_RESUME[field.name].kind}"))


def _default(field: Field) -> str:
    """The default, and the defaults of subcommands that have another one."""
    others = [f"{task}: `{format_value(value)}`" for task, value in field.task_defaults]
    return "; ".join([f"`{format_value(field.default)}`", *others])


def _needs(field: Field) -> str:
    """The conditions of a field, listed by subcommand where they differ between them."""
    conditions = {task: needs(field, task) for task in field.tasks}
    if len(set(conditions.values())) == 1:
        return conditions[field.tasks[0]]
    return "; ".join(f"{task}: {text}" for task, text in conditions.items() if text)


def _limits(field: Field) -> str:
    """Choices of a choice, range of a number, or ""."""
    if field.choices:
        return ", ".join(field.choices)
    if field.low is None or field.high is None:
        return ""
    return f"{field.low:.10g} – {field.high:.10g}"


def main(argv: Sequence[str]) -> int:
    """Write docs/reference.md and the typed arguments in the checkout, or check them."""
    files = {FILE: reference(), **typed_sources()}
    root = Path(__file__).resolve().parents[2]
    if list(argv) == ["write"]:
        for name, text in files.items():
            write_atomic(root / name, text)
        return 0
    if list(argv) != ["check"]:
        sys.stderr.write("python -m backend.contract.reference write|check\n")
        return 2
    stale = [
        name
        for name, text in files.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]
    for name in stale:
        sys.stderr.write(t("reference.stale", file=name) + "\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
