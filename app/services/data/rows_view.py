"""A page of a data set's rows, selected by number or by a search, in one of three views.

Raw rows and conversations are read here (backend.datafiles is light); tokens come from a child.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from app.i18n import t
from app.services.data import inspection, row_tree
from app.services.data.row_tree import Element
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import require_rows
from backend.contract.registry import dataset_info
from backend.contract.system.warm_child import Message
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import Params, Problem, TuneboardError
from backend.datafiles import formats, layouts, reading
from backend.datafiles.turns import RowError

PAGE = 5
VIEWS = ("raw", "conversation", "tokens")
SEARCH_S = 5.0
JSON = (".json", ".jsonl", ".ndjson")

Rows = list[reading.Hit]


@dataclass(frozen=True)
class Query:
    """A request: the view, the number of the first row (from 0), and words that rows must hold."""

    view: str
    first: int = 0
    words: str = ""


@dataclass(frozen=True)
class View:
    """The answer: the position in words, or with `wrong` why there is none; the rows as trees of
    elements, and the number of the next row."""

    where: str
    rows: Sequence[Element] = ()
    onward: int = 0
    wrong: bool = False


def look(values: Values, query: Query, lang: str) -> View:
    """The rows of the first chosen set. Problems are shown in their place."""
    chosen = dataset_info.names(resolve(values).dataset)
    if not chosen:
        return View(t("preview.nothing", lang))
    try:
        return _look({**values, "dataset": chosen[0]}, chosen[0], query, lang)
    except TuneboardError as error:
        texts = [problem.text(lang) for problem in error.problems]
        return View("\n".join(texts), onward=query.first, wrong=True)


def _look(values: Values, name: str, query: Query, lang: str) -> View:
    arguments = resolve(values)
    entry = dataset_info.find(name, arguments.dataset_dir, to_learn=False)
    if entry.path is None:
        if query.view == "tokens" and not query.words:
            return _hub(values, name, query, lang)
        return View(t("preview.on_hub", lang, name=name))
    where, rows, onward = _find_rows(entry.path, name, query, lang)
    if not rows:
        return View(where, onward=onward)
    if query.view == "tokens":
        return View(where, _tokens(values, rows, query, lang), onward)
    if query.view == "conversation":
        return View(where, _conversations(entry, rows, arguments, lang), onward)
    draw = row_tree.raw if _is_json(entry.path) else row_tree.columns
    return View(where, draw([(hit.number, hit.row) for hit in rows], lang), onward)


def _is_json(path: Path) -> bool:
    """Whether the rows are JSON in their file; the rows of any other are those of a table."""
    return dataset_info.kind(reading.files(path)[0].name) in JSON


def _find_rows(path: Path, name: str, query: Query, lang: str) -> tuple[str, Rows, int]:
    """The position in words, the rows, and the number of the next row."""
    first, begin = query.first, format_number(query.first + 1)
    if query.words:
        hits, onward = reading.search(path, query.words, first, PAGE, SEARCH_S)
        params: dict[str, Any] = {"name": name, "words": query.words[:80]}
        if hits:
            return t("seen.found", lang, count=len(hits), **params), list(hits), max(onward, 0)
        if onward >= 0:
            return t("seen.searching", lang, name=name, last=format_number(onward)), [], onward
        return t("seen.nothing_found", lang, first=begin, **params), [], 0
    page = reading.page(path, first, PAGE)
    if not page.rows and page.indexed < 1:
        share = format_number(page.indexed, ".0%")
        return t("seen.indexing", lang, name=name, first=begin, share=share), [], first
    if not page.rows:
        return t("seen.no_rows", lang, name=name, first=begin), [], first
    total = "?" if page.total is None else format_number(page.total)
    last = first + len(page.rows)
    where = t("preview.where", lang, name=name, first=first + 1, last=last, total=total)
    at_end = page.total is not None and last >= page.total
    numbered = list(map(reading.Hit, count(first), page.lines, page.rows))
    return where, numbered, first if at_end else last


def _conversations(
    entry: dataset_info.Entry, rows: Rows, values: Arguments, lang: str
) -> list[Element]:
    assert entry.path is not None
    first = rows[0].row if rows[0].number == 0 else reading.page(entry.path, 0, 1).rows[0]
    place = (str(entry.path), 1)
    layout = layouts.layout(entry, first, place, layouts.WANTED[values.stage])
    read = formats.reader(layout, strict=values.strict_turns)
    parts = []
    for number, line, row in rows:
        params: Params = {"file": place[0], "line": line, "count": 1}
        try:
            conversation = read(row)
            parts.append(row_tree.conversation(number, conversation, lang))
            texts = [Problem(code=note, params=params).text(lang) for note in conversation.notes]
            parts += map(row_tree.note, texts)
        except RowError as error:
            refused = Problem(code=error.code, params=params).text(lang)
            parts.append(row_tree.refusal(number, refused, lang))
    return parts


def _tokens(values: Values, rows: Rows, query: Query, lang: str) -> list[Element]:
    """The tokens of these rows. Rows of a search are requested one by one."""
    require_rows(resolve(values))
    values = _plain(values)
    spans = [(hit.number, 1) for hit in rows] if query.words else [(rows[0].number, len(rows))]
    answers = [inspection.tokens(values, first, count) for first, count in spans]
    return _draw_tokens(answers, lang, {hit.number: hit.line for hit in rows})


def _hub(values: Values, name: str, query: Query, lang: str) -> View:
    """The rows of a set on a hub, which the child downloads."""
    require_rows(resolve(values))
    answer = inspection.tokens(_plain(values), query.first, PAGE)
    total = answer["total"] or 0
    last = min(total, query.first + PAGE)
    where = t("preview.where", lang, name=name, first=query.first + 1, last=last, total=total)
    return View(where, _draw_tokens([answer], lang), last if last < total else query.first)


def _draw_tokens(
    answers: list[Message], lang: str, lines: Mapping[int, int] | None = None
) -> list[Element]:
    """The tokens as trees. `lines` maps a row's number to its line in the file."""
    texts: dict[str, None] = {}
    parts = []
    for answer in answers:
        texts |= dict.fromkeys(notices(answer, lang))
        special = frozenset(answer["special"])
        for line in answer["lines"]:
            if "refused" in line:
                number, problem = line["row"], Problem.from_json(line["refused"])
                if lines and "line" in problem.params:
                    problem = replace(
                        problem, params={**problem.params, "line": lines.get(number, 0)}
                    )
                parts.append(row_tree.refusal(number, problem.text(lang), lang))
            else:
                parts.append(row_tree.token_row(line, special, lang))
    return [*map(row_tree.note, texts), row_tree.legend(lang), *parts]


def notices(answer: Message, lang: str) -> list[str]:
    """The notices of the check of the template, in words."""
    return [Problem.from_json(notice).text(lang) for notice in answer["notices"]]


def measurable(values: Values) -> Values:
    """The values of a form for the child. Raises UsageError without a data set or a model."""
    require_rows(resolve(values))
    return _plain(values)


def _plain(values: Values) -> Values:
    return {name: value for name, value in values.items() if name != "output_dir"}
