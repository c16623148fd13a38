"""The registered data sets as the Data tab lists them, and the result of a check."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.i18n import DEFAULT_LANGUAGE, t
from app.services.data import mapping, row_html
from backend import datafiles
from backend.contract.base.home import home
from backend.contract.base.problems import Problem, TuneboardError
from backend.contract.base.terminal_text import one_line
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.datafiles import entering

COLUMNS = ("name", "kind", "size", "place", "state")
FINDING_COLUMNS = ("count", "level", "what", "rows")
UNITS = ("B", "kB", "MB", "GB")
Table = list[list[str]]


def rows(dataset_dir: str, lang: str) -> Table:
    """A row of COLUMNS for each entry, by name; none where the registry cannot be read."""
    try:
        entries = dataset_info.entries(dataset_dir)
    except TuneboardError:
        return []
    return [_row(entries[name], lang) for name in sorted(entries)]


def list_registry(dataset_dir: str, *, files: bool) -> Table:
    """The names in a registry; with `files` the `rows` of all sets and the registry's problem."""
    if files:
        return [
            *rows(dataset_dir, DEFAULT_LANGUAGE),
            [registry_problem(dataset_dir, DEFAULT_LANGUAGE)],
        ]
    try:
        return [sorted(dataset_info.entries(dataset_dir))]
    except TuneboardError:
        return []


def registry_problem(dataset_dir: str, lang: str) -> str:
    """The problem of a registry that cannot be read, in words, or ""."""
    try:
        dataset_info.entries(dataset_dir)
    except TuneboardError as error:
        return "\n".join(problem.text(lang) for problem in error.problems)
    return ""


def kind(name: str, dataset_dir: str) -> str:
    """The kind of a registered set; "" where its entry cannot be used."""
    try:
        entry = dataset_info.find(name, dataset_dir)
    except TuneboardError:
        return ""
    return _kind(entry)


def facts(name: str, dataset_dir: str, lang: str) -> str:
    """The kind, size and place of a set, or its problems, as HTML."""
    try:
        entry = dataset_info.find(name, dataset_dir)
        size = "" if entry.path is None else format_size(_bytes(entry))
    except TuneboardError as error:
        return "".join(row_html.note(problem.text(lang)) for problem in error.problems)
    kind = _kind(entry)
    words = [t(f"sets.kind.{kind}", lang), *([size] if size else []), _place(entry)]
    line = row_html.escape(" · ".join(words))
    stages = ", ".join(mapping.LEARNERS.get(kind, ()))
    stages = row_html.escape(t("sets.stages", lang, stages=stages))
    return f'<div class="set-facts">{line}</div><div class="seen-small">{stages}</div>'


def place(name: str, dataset_dir: str) -> str:
    """The place of a registered set, as people write it."""
    try:
        return _place(dataset_info.entries(dataset_dir)[name])
    except (TuneboardError, KeyError):
        return "–"


def find_set(shown: str, dataset_dir: str) -> str | None:
    """The set that the table shows under this name; None where it is gone."""
    try:
        known = dataset_info.entries(dataset_dir)
    except TuneboardError:
        return None
    return next((name for name in known if one_line(name) == shown), None)


def report(result: Mapping[str, Any], lang: str) -> str:
    """The result of a check in one sentence, as HTML."""
    verdict = t("data.check.good" if result["good"] else "sets.bad", lang)
    counts = {name: result[name] for name in ("rows", "usable", "stage")}
    lines = [t("data.check.rows", lang, **counts), verdict]
    if not result["complete"]:
        lines.append(t("data.check.incomplete", lang))
    return row_html.note(" ".join(lines))


def findings(result: Mapping[str, Any], lang: str) -> Table:
    """A row of FINDING_COLUMNS for each problem, the most frequent first."""
    ordered = sorted(result["findings"], key=lambda finding: -finding["count"])
    return [_finding(finding, lang) for finding in ordered]


def format_size(size: int) -> str:
    """A number of bytes as people read it: 512 B, 1.4 MB."""
    number, unit = float(size), UNITS[0]
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            break
        number /= 1000
    return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"


def _row(entry: Entry, lang: str) -> list[str]:
    state, size = t("sets.on_hub" if entry.hub_id else "sets.usable", lang), "–"
    problems = list(entry.problems)
    if entry.path is not None and not problems:
        try:
            size = format_size(_bytes(entry))
        except TuneboardError as error:
            problems = list(error.problems)
        except FileNotFoundError:  # removed since it was listed; the next list shows that
            size = "–"
    if problems:
        state = problems[0].text(lang)
    kind = t(f"sets.kind.{_kind(entry)}", lang)
    return [one_line(entry.name), kind, size, one_line(_place(entry)), state]


def _bytes(entry: Entry) -> int:
    assert entry.path is not None
    return sum(part.stat().st_size for part in datafiles.files(entry.path))


def _kind(entry: Entry) -> str:
    """The kind of a set. A file is read again only after a change."""
    try:
        stamp = entry.path.stat().st_mtime_ns if entry.path else 0
    except OSError:
        stamp = 0
    layout = (entry.ranking, entry.formatting, entry.columns is None)
    named = tuple(sorted((entry.columns or {}).items()))
    return _kind_of_file(entry.path, stamp, layout, named)


@lru_cache(4096)
def _kind_of_file(
    path: Path | None, _: int, layout: tuple[bool, str | None, bool], named: tuple[Any, ...]
) -> str:
    ranking, formatting, silent = layout
    columns = None if silent else dict(named)
    entry = Entry(name="", path=path, ranking=ranking, formatting=formatting, columns=columns)
    return entering.kind_of_set(entry)


def _place(entry: Entry) -> str:
    if entry.path is None:
        return entry.hub_id or entry.elsewhere or "–"
    return str(entry.path.relative_to(home()) if entry.path.is_relative_to(home()) else entry.path)


def _finding(finding: Mapping[str, Any], lang: str) -> list[str]:
    params = {**finding["params"], "count": finding["count"]}
    if "file" in params:
        params["file"] = Path(str(params["file"])).name
    pairs = zip(finding["rows"], finding["lines"], strict=True)
    rows = ", ".join(row_html.place(row, line, lang) for row, line in pairs)
    more = " …" if finding["count"] > len(finding["rows"]) else ""
    what = Problem(code=finding["code"], params=params).text(lang)
    return [f"{finding['count']:,}", t(f"sets.level.{finding['level']}", lang), what, rows + more]
