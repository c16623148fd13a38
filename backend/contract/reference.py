"""`--help` of each subcommand and docs/reference.md, both written from the rows and their texts.

python -m backend.contract.reference write|check: `check` exits with 1 where docs/reference.md or
the typed arguments (typed.py) are stale.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.contract.arguments import typed_fields
from backend.contract.arguments.arguments import fields_of, format_value, needs
from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS
from backend.contract.arguments.foreign import ALIASES, FOREIGN
from backend.contract.arguments.foreign.answer import Foreign
from backend.contract.base.files import write_atomic
from backend.contract.base.printed import WIDTH, wrap
from backend.contract.base.texts import DEFAULT_LANGUAGE, t
from backend.contract.runs.resume_kinds import LAUNCH, ON_RESUME

FILE = "docs/reference.md"
INDENT = " " * 6
PIPE = r"\|"  # within a cell of a table


def reference() -> str:
    """docs/reference.md: one table for each group of arguments."""
    parts = [f"# {t('reference.title')}", t("reference.intro")]
    for group in GROUPS:
        rows = [row for row in FIELDS.values() if row.group == group]
        parts.append(f"## {t(f'group.{group}')}")
        parts.append("\n".join([*_head(), *map(_line, rows)]))
    parts += [f"## {t('reference.foreign.title')}", t("reference.foreign.intro")]
    others = {**{name: f"`{row}`" for name, row in ALIASES.items()}, **_answers()}
    titles = [t(f"reference.column.{title}") for title in ("name", "here")]
    lines = [f"| `{name}` | {text.replace('|', PIPE)} |" for name, text in sorted(others.items())]
    parts.append("\n".join([f"| {' | '.join(titles)} |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def _answers() -> dict[str, str]:
    """What each foreign name does here: rows that it stands for, or the texts that it is told."""
    return {name: "; ".join(_answer(foreign)) for name, foreign in FOREIGN.items()}


def _answer(foreign: Foreign) -> Iterator[str]:
    for value, meaning in foreign.becomes.items():
        rows = ", ".join(f"`{name}={format_value(part)}`" for name, part in meaning.items())
        yield f"`{format_value(value)}`: {rows or t('reference.foreign.nothing')}"
    codes = [foreign.because] if foreign.idle is None or foreign.idle else []
    values = "/".join(map(format_value, foreign.idle or ()))
    for code in [*codes, *filter(None, [foreign.instead])]:
        given = {"field": foreign.name, "owner": foreign.owner, "value": values}
        text = t(f"problem.{code}", **given).removeprefix(foreign.name)
        yield text.removeprefix(":").strip().rstrip(".")


def help_text(task: str, lang: str = DEFAULT_LANGUAGE) -> str:
    """What `tuneboard <task> --help` prints: arguments by group, at most 100 columns wide."""
    rows = fields_of(task)
    lines = [t("reference.usage", lang, task=task), "", t(f"command.{task}.about", lang)]
    lines += ["", *wrap(t("reference.forms", lang))]
    for group in GROUPS:
        members = [row for row in rows if row.group == group]
        if members:
            lines += ["", f"{t(f'group.{group}', lang)}:"]
            lines += [line for row in members for line in _entry(row, task, lang)]
    return "\n".join(lines)


def _entry(row: Field, task: str, lang: str) -> list[str]:
    """One argument of --help: its name and kind, then help, default and limits below."""
    details = [t("reference.default", lang, value=format_value(row.default_in(task)))]
    if _limits(row):
        details.append(t("reference.values", lang, values=_limits(row)))
    if row.conditions(task):
        details.append(t("reference.needs", lang, needs=needs(row, task)))
    if row.secret:
        details.append(t("reference.secret", lang, name=row.to))
    text = t(f"field.{row.name}.help", lang) + t("reference.details", lang, all="; ".join(details))
    lines = [f"{INDENT}{line}" for line in wrap(text, WIDTH - len(INDENT))]
    return [f"  --{row.name} {row.kind.upper()}", *lines]


def _head() -> list[str]:
    titles = ("name", "kind", "default", "values", "needs", "tasks", "help")
    cells = [t(f"reference.column.{title}") for title in titles]
    return [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]


def _line(row: Field) -> str:
    kind = f"{row.kind}, {t('reference.secret', name=row.to)}" if row.secret else row.kind
    cells = [
        f"`{row.name}`",
        kind,
        _default(row),
        _limits(row),
        _needs(row),
        ", ".join(row.tasks),
        t(f"field.{row.name}.help").replace("<", "&lt;") + _resumed(row),
    ]
    return f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |"


def _resumed(row: Field) -> str:
    """What becomes of another value when a training is resumed, unless it is taken up."""
    if "train" not in row.tasks or row.name in LAUNCH or ON_RESUME[row.name].kind == "taken":
        return ""
    return " " + t("reference.resumed", kind=t(f"resume.kind.{ON_RESUME[row.name].kind}"))


def _default(row: Field) -> str:
    """The default, and those of single subcommands where they are others."""
    others = [f"{task}: `{format_value(value)}`" for task, value in row.task_defaults]
    return "; ".join([f"`{format_value(row.default)}`", *others])


def _needs(row: Field) -> str:
    """What the row asks for; where that is not the same in all subcommands, by subcommand."""
    asked = {task: needs(row, task) for task in row.tasks}
    if len(set(asked.values())) == 1:
        return asked[row.tasks[0]]
    return "; ".join(f"{task}: {text}" for task, text in asked.items() if text)


def _limits(row: Field) -> str:
    """Choices of a choice, range of a number, or ""."""
    if row.choices:
        return ", ".join(row.choices)
    if row.low is None or row.high is None:
        return ""
    return f"{row.low:.10g} – {row.high:.10g}"


def main(argv: Sequence[str]) -> int:
    """Write docs/reference.md and typed.py in the checkout, or check that both are fresh."""
    files = {FILE: reference(), typed_fields.FILE: typed_fields.source()}
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
