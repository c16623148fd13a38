"""A page of a data set's rows: found by number or by words, drawn in one of three views.

Raw rows and conversations are read here (backend.datafiles is light); tokens come from the child.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from app.i18n import t
from app.services.data import inspection, row_html
from backend import datafiles
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Params, Problem, TuneboardError
from backend.contract.preflight.preflight import require_rows
from backend.contract.registry import dataset_info
from backend.datafiles import formats, layouts
from backend.datafiles.turns import RowError

PAGE = 5
VIEWS = ("raw", "conversation", "tokens")
SEARCH_S = 5.0

Rows = list[datafiles.Hit]


@dataclass(frozen=True)
class Wish:
    """What the person asks for: a view, of the rows from number `first` on (that hold `words`)."""

    view: str
    first: int = 0
    words: str = ""


@dataclass(frozen=True)
class Shown:
    """Where we are in words, the rows as HTML, and the number to go on from."""

    where: str
    html: str = ""
    onward: int = 0


def look(values: Values, wish: Wish, lang: str) -> Shown:
    """The rows of the first chosen set; what is wrong is told in the same place."""
    chosen = dataset_info.names(resolve(values).dataset)
    if not chosen:
        return Shown(t("preview.nothing", lang))
    try:
        return _look({**values, "dataset": chosen[0]}, chosen[0], wish, lang)
    except TuneboardError as error:
        said = [problem.text(lang) for problem in error.problems]
        return Shown("\n".join(said), "".join(map(row_html.note, said)), wish.first)


def _look(values: Values, name: str, wish: Wish, lang: str) -> Shown:
    arguments = resolve(values)
    entry = dataset_info.find(name, arguments.dataset_dir, to_learn=False)
    if entry.path is None:
        if wish.view == "tokens" and not wish.words:
            return _hub(values, name, wish, lang)
        return Shown(t("preview.on_hub", lang, name=name))
    where, rows, onward = _found(entry.path, name, wish, lang)
    if not rows:
        return Shown(where, "", onward)
    if wish.view == "tokens":
        return Shown(where, _tokens(values, rows, wish, lang), onward)
    if wish.view == "conversation":
        return Shown(where, _conversations(entry, rows, arguments, lang), onward)
    return Shown(where, row_html.raw([(hit.number, hit.row) for hit in rows], lang), onward)


def _found(path: Path, name: str, wish: Wish, lang: str) -> tuple[str, Rows, int]:
    """Where we are, the rows, and where to go on."""
    first = wish.first
    if wish.words:
        hits, onward = datafiles.search(path, wish.words, first, PAGE, SEARCH_S)
        given: dict[str, Any] = {"name": name, "words": wish.words[:80]}
        if hits:
            return t("seen.found", lang, count=len(hits), **given), list(hits), max(onward, 0)
        if onward >= 0:
            return t("seen.searching", lang, name=name, last=f"{onward:,}"), [], onward
        return t("seen.nothing_found", lang, first=f"{first + 1:,}", **given), [], 0
    page = datafiles.page(path, first, PAGE)
    if not page.rows and page.indexed < 1:
        share = f"{page.indexed:.0%}"
        return t("seen.indexing", lang, name=name, first=f"{first + 1:,}", share=share), [], first
    if not page.rows:
        return t("seen.no_rows", lang, name=name, first=f"{first + 1:,}"), [], first
    total = "?" if page.total is None else f"{page.total:,}"
    last = first + len(page.rows)
    where = t("preview.where", lang, name=name, first=first + 1, last=last, total=total)
    at_end = page.total is not None and last >= page.total
    numbered = list(map(datafiles.Hit, count(first), page.lines, page.rows))
    return where, numbered, first if at_end else last


def _conversations(entry: dataset_info.Entry, rows: Rows, values: Arguments, lang: str) -> str:
    assert entry.path is not None
    first = rows[0].row if rows[0].number == 0 else datafiles.page(entry.path, 0, 1).rows[0]
    place = (str(entry.path), 1)
    layout = layouts.layout(entry, first, place, layouts.WANTED[values.stage])
    read = formats.reader(layout, strict=values.strict_turns)
    parts = []
    for number, line, row in rows:
        params: Params = {"file": place[0], "line": line, "count": 1}
        try:
            one = read(row)
            parts.append(row_html.conversation(number, one, lang))
            told = [Problem(code=note, params=params).text(lang) for note in one.notes]
            parts += map(row_html.note, told)
        except RowError as error:
            refused = Problem(code=error.code, params=params).text(lang)
            parts.append(row_html.refused(number, refused, lang))
    return "".join(parts)


def _tokens(values: Values, rows: Rows, wish: Wish, lang: str) -> str:
    """The tokens of these rows; found rows are asked for one by one."""
    require_rows(resolve(values))
    values = _plain(values)
    spans = [(hit.number, 1) for hit in rows] if wish.words else [(rows[0].number, len(rows))]
    answers = [inspection.tokens(values, first, count) for first, count in spans]
    return _drawn(answers, lang, {hit.number: hit.line for hit in rows})


def _hub(values: Values, name: str, wish: Wish, lang: str) -> Shown:
    """Rows of a set on a hub, which the child fetches."""
    require_rows(resolve(values))
    answer = inspection.tokens(_plain(values), wish.first, PAGE)
    total = answer["total"] or 0
    last = min(total, wish.first + PAGE)
    where = t("preview.where", lang, name=name, first=wish.first + 1, last=last, total=total)
    return Shown(where, _drawn([answer], lang), last if last < total else wish.first)


def _drawn(
    answers: list[inspection.Message], lang: str, lines: Mapping[int, int] | None = None
) -> str:
    """The tokens; `lines`: the line of each row in its file, which is not always its number."""
    told: dict[str, None] = {}
    parts = []
    for answer in answers:
        told |= dict.fromkeys(notices(answer, lang))
        special = frozenset(answer["special"])
        for line in answer["lines"]:
            if "refused" in line:
                number, problem = line["row"], Problem.from_json(line["refused"])
                if lines and "line" in problem.params:
                    problem = replace(
                        problem, params={**problem.params, "line": lines.get(number, 0)}
                    )
                parts.append(row_html.refused(number, problem.text(lang), lang))
            else:
                parts.append(row_html.token_row(line, special, lang))
    return "".join([*map(row_html.note, told), row_html.legend(lang), *parts])


def notices(answer: inspection.Message, lang: str) -> list[str]:
    """What the check of the template says."""
    return [Problem.from_json(one).text(lang) for one in answer["notices"]]


def measurable(values: Values) -> Values:
    """The values of a form as the child takes them. Raises UsageError: no set, no model."""
    require_rows(resolve(values))
    return _plain(values)


def _plain(values: Values) -> Values:
    return {name: value for name, value in values.items() if name != "output_dir"}
