"""The registered data sets as the Data tab lists them, and the result of a check."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.i18n import DEFAULT_LANGUAGE, name_choice, t
from app.services.data import mapping, row_counts, row_tree
from backend.contract.folders.home import home
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.numbers import localize
from backend.contract.texts.problems import Problem, TuneboardError
from backend.contract.texts.terminal_text import decimal_size, one_line
from backend.datafiles import entering, reading

FINDING_COLUMNS = ("count", "level", "what", "rows")
Table = list[list[str]]


@dataclass(frozen=True)
class Set:
    """A registered set in words.

    name   as it is registered; `title` shows it on one line
    kind   what it holds: sft, preference, kto, text or prompt
    size   of its files, "–" where they are not on this machine; `bytes` is that as a number
    place  where it lies
    state  whether it can be used; `note` says why not, or what follows from it
    tone   of the state: good, quiet (on a hub) or bad
    """

    name: str
    title: str
    kind: str
    size: str
    place: str
    state: str
    tone: str
    note: str = ""
    bytes: int | None = None


def sets(dataset_dir: str, lang: str) -> list[Set]:
    """Every registered set, by name; none where there is no readable registry."""
    try:
        entries = dataset_info.entries(dataset_dir)
    except TuneboardError:
        return []
    return [_describe(entries[name], lang) for name in sorted(entries)]


def list_registry(dataset_dir: str, *, files: bool) -> list[Any]:
    """The names in a registry; with `files`, what `sets` says of each, too."""
    if files:
        return [
            *sets(dataset_dir, DEFAULT_LANGUAGE),
            registry_problem(dataset_dir, DEFAULT_LANGUAGE),
        ]
    try:
        return sorted(dataset_info.entries(dataset_dir))
    except TuneboardError:
        return []


def count_rows(name: str, dataset_dir: str, lang: str) -> str:
    """The number of a set's rows, "–" where only reading a large file would tell."""
    total = find_count(name, dataset_dir)
    return "–" if total is None else localize(f"{total:,}", lang)


def find_count(name: str, dataset_dir: str) -> int | None:
    """As `count_rows`, as a number. Files are read once, until they change."""
    try:
        entry = dataset_info.entries(dataset_dir)[name]
        if entry.path is None:
            return None
        return row_counts.count_all(entry.path)
    except (TuneboardError, KeyError, OSError):
        return None


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


def stages(kind: str, lang: str) -> str:
    """The stage that most often learns from such data, and how many others can."""
    first, *others = mapping.LEARNERS.get(kind, ("",))
    more = f" +{localize(str(len(others)), lang)}" if others else ""
    return t("sets.stages", lang, stages=name_choice("stage", first, lang) + more)


def report(result: Mapping[str, Any], lang: str) -> str:
    """The result of a check in one sentence."""
    verdict = t("data.check.good" if result["good"] else "sets.bad", lang)
    counts = {name: result[name] for name in ("rows", "usable")}
    stage = name_choice("stage", result["stage"], lang)
    lines = [t("data.check.rows", lang, stage=stage, **counts), verdict]
    if not result["complete"]:
        lines.append(t("data.check.incomplete", lang))
    return " ".join(lines)


def findings(result: Mapping[str, Any], lang: str) -> Table:
    """A row of FINDING_COLUMNS for each problem, the most frequent first."""
    ordered = sorted(result["findings"], key=lambda finding: -finding["count"])
    return [_finding(finding, lang) for finding in ordered]


def _describe(entry: Entry, lang: str) -> Set:
    size, problems = None, list(entry.problems)
    if entry.path is not None and not problems:
        try:
            size = _bytes(entry)
        except TuneboardError as error:
            problems = list(error.problems)
        except FileNotFoundError:  # removed since it was listed; the next list shows that
            size = None
    state = (t("sets.usable", lang), "good", "")
    words = "–" if size is None else localize(decimal_size(size), lang)
    if problems:
        state = (t("sets.unusable", lang), "bad", problems[0].text(lang))
    elif entry.hub_id:
        state = (t("sets.hub", lang), "quiet", t("sets.on_hub", lang))
    name, place = one_line(entry.name), one_line(_place(entry))
    return Set(entry.name, name, _kind(entry), words, place, *state, size)


def _bytes(entry: Entry) -> int:
    assert entry.path is not None
    return sum(part.stat().st_size for part in reading.files(entry.path))


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
    rows = ", ".join(row_tree.place(row, line, lang) for row, line in pairs)
    more = " …" if finding["count"] > len(finding["rows"]) else ""
    what = Problem(code=finding["code"], params=params).text(lang)
    return [f"{finding['count']:,}", t(f"sets.level.{finding['level']}", lang), what, rows + more]
