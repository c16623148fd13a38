"""Propose format and columns of a file's entry in dataset_info.json from its first rows.

The formats that training takes without an entry are tried first (backend.datafiles.formats), then
common names of columns, then place and length of the texts. Each proposal is tried on the rows.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import formats, layouts, media, separators, turns
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import (
    ALPACA,
    CONTENT_KEYS,
    FUNCTIONS,
    ROLE_KEYS,
    ROLES,
    USUAL,
    find_best,
    normalize_name,
)
from backend.datafiles.samples import Sample
from backend.datafiles.turns import OPENAI, SHAREGPT, RowError
from backend.datafiles.values import DataRow, text_of

ENOUGH = 0.5  # share of the rows that must be usable
UNSURE = 0.4  # highest confidence where the separator of the columns is in doubt
# Kind of a data set -> a stage that learns from it.
STAGES = {"preference": "dpo", "kto": "kto", "sft": "sft", "text": "pt", "prompt": "ppo"}
EXAMPLE = Path("data")  # stands for the file while an entry is tried

Entry = dict[str, Any]
Refusals = dict[str, list[int]]  # code of a reason -> numbers of rows, from 1
# Names of columns that hold texts, whatever their values look like.
SPOKEN = {word for key in ("prompt", "response", "chosen", "rejected") for word in USUAL[key]}
# Numbers, booleans and dates, as every format writes them.
bare = re.compile(
    r"[+-]?[\d.,]+(?:e[+-]?\d+)?|true|false|\d{4}-\d\d-\d\d(?:[T ].*)?", re.IGNORECASE
)
# What the texts of the reasons name.
NAMED = ("prompt", "response", "chosen", "rejected", "messages", "kto_tag", "role_tag")


@dataclass(frozen=True)
class Proposal:
    """A proposed layout: `entry` for dataset_info.json without the place of the file, and the
    `columns` in it.

    kind: sft, preference, kto, text, prompt, or "" where nothing was found; confidence: 0 to 1;
    reasons: notices for the person.
    """

    entry: Entry
    kind: str
    confidence: float
    columns: dict[str, str] = field(default_factory=dict)
    reasons: list[Problem] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """A stage that learns from such data; "" where nothing was found."""
        return STAGES.get(self.kind, "")


@dataclass(frozen=True)
class _Guess:
    kind: str
    columns: dict[str, str]
    confidence: float
    why: str  # code of the reason
    formatting: str = "alpaca"
    tags: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False  # the entry needs no columns: all are where training looks anyway

    @property
    def entry(self) -> Entry:
        return entry_for(
            {} if self.bare else self.columns,
            formatting=self.formatting,
            tags=self.tags,
            ranking=self.kind == "preference",
        )


@dataclass(frozen=True)
class _Trial:
    guess: _Guess
    refused: Refusals
    rows: int

    @property
    def share(self) -> float:
        """The share of the rows that are usable."""
        return 1 - sum(map(len, self.refused.values())) / self.rows


def propose(first: Sample) -> Proposal:
    """Propose the likeliest layout of a file from its first rows (at least one)."""
    rows = first.rows
    tried: list[_Trial] = []
    for guess in _guesses(rows):
        tried.append(_Trial(guess, _find_refusals(guess, rows), len(rows)))
        if tried[-1].share >= ENOUGH:
            break
    trial = tried[-1] if tried and tried[-1].share >= ENOUGH else None
    trial = trial or max(tried, key=lambda each: each.share, default=None)
    if trial is None or not trial.share:
        return Proposal({}, "", 0.0, {}, [*first.notices, *_explain_failure(tried, first)])
    guess = trial.guess
    reasons = [*first.notices, *_explain_guess(guess, rows), *_explain_refusals(trial, first)]
    confidence = round(guess.confidence * (1 + trial.share) / 2, 2)
    if any(notice.code == separators.DOUBT for notice in first.notices):
        confidence = min(confidence, UNSURE)
    return Proposal(guess.entry, guess.kind, confidence, guess.columns, reasons)


def entry_for(
    columns: Mapping[str, str],
    *,
    formatting: str = "alpaca",
    tags: Mapping[str, str] | None = None,
    ranking: bool = False,
) -> Entry:
    """The shortest entry with these columns and tags; those that are "" are left out."""
    entry: Entry = {} if formatting == "alpaca" else {"formatting": formatting}
    if ranking:
        entry["ranking"] = True
    named = {key: name for key, name in columns.items() if name}
    if named:
        entry["columns"] = named
    marked = {key: name for key, name in (tags or {}).items() if name}
    if marked and marked != SHAREGPT:
        entry["tags"] = marked
    return entry


def convert_row(
    entry: Mapping[str, Any], row: DataRow, stage: str, place: tuple[str, int] = ("-", 1)
) -> Conversation:
    """Convert the row, at this file and line, as training of this stage does.

    Raises DataError for the columns and RowError for this row, with the codes of training.
    """
    return _reader(entry, row, stage, place)(row)


def _reader(
    entry: Mapping[str, Any], first: DataRow, stage: str, place: tuple[str, int] = ("-", 1)
) -> Callable[[DataRow], Conversation]:
    made = dataset_info.parse("", {"file_name": "x", **entry}, EXAMPLE)
    if made.problems:
        raise DataError(*made.problems)
    return formats.reader(layouts.layout(made, first, place, layouts.WANTED[stage]))


def _find_refusals(guess: _Guess, rows: list[dict[str, Any]]) -> Refusals:
    """Find the rows that a guess cannot use: code of the reason -> numbers (from 1)."""
    numbers = range(1, len(rows) + 1)
    try:
        read = _reader(guess.entry, rows[0], STAGES[guess.kind])
    except DataError as error:
        return {error.problems[0].code: list(numbers)}
    refusals: Refusals = {}
    for number, row in zip(numbers, rows, strict=True):
        try:
            read(row)
        except RowError as error:
            refusals.setdefault(error.code, []).append(number)
    return refusals


def _guesses(rows: list[dict[str, Any]]) -> Iterator[_Guess]:
    """Yield what the rows could be, the surest guess first."""
    for kind in ("preference", "kto", "sft"):
        yield from _guess_known(kind, rows)
    yield from _guess_by_lists(rows)
    yield from _guess_by_names(rows)
    if find_best(_names(rows[:1]), USUAL["prompt"]):
        yield from _guess_known("prompt", rows)
    yield from _guess_known("text", rows)
    yield from _guess_by_place(rows)
    yield from _guess_known("prompt", rows)


def _guess_known(kind: str, rows: list[dict[str, Any]]) -> Iterator[_Guess]:
    """Yield the layout that training finds in these rows without an entry, if it takes them."""
    entry = dataset_info.Entry(name="")
    try:
        layout = layouts.layout(entry, rows[0], ("", 1), layouts.WANTED[STAGES[kind]])
    except DataError:
        return
    if kind == "text":
        text = layout.columns.get("text", "")
        if text:
            surely = len(rows[0]) == 1 or text == "text"
            yield _Guess("text", {"prompt": text}, 0.95 if surely else 0.5, "detect_text")
        return
    seen = set(_names(rows))
    columns = {key: name for key, name in layout.columns.items() if name in seen}
    columns = _select_columns(kind, _name_tools(columns, rows))
    if kind == "prompt" and _count_answers(layout, rows) >= ENOUGH * len(rows):
        return
    if layout.kind == "alpaca":
        default = all(layout.columns[key] == name for key, name in ALPACA.items())
        bare = kind == "sft" and default and columns.get("prompt") == ALPACA["prompt"]
        yield _Guess(kind, columns, 0.95, _reason_code(kind, columns), bare=bare)
        return
    keyed = "openai" if layout.tags["role_tag"] == OPENAI["role_tag"] else "sharegpt"
    bare = keyed == "sharegpt" and columns["messages"] == "conversations" and kind == "sft"
    yield _Guess(kind, columns, 0.98, _reason_code(kind, columns), keyed, layout.tags, bare)


def _count_answers(layout: layouts.Layout, rows: list[dict[str, Any]]) -> int:
    """Count the rows whose list of messages ends with an answer of the assistant."""
    column = layout.columns.get("messages") or layout.columns["prompt"]
    lists = [row[column] for row in rows if turns.is_message_list(row.get(column))]
    roles = [turns.role_of(messages[-1]) for messages in lists]
    return len([role for role in roles if role in {"assistant", "call"}])


def _name_tools(columns: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns for an entry: `functions` becomes `tools` where no row has tools."""
    named = {key: name for key, name in columns.items() if key != FUNCTIONS}
    if FUNCTIONS in columns and not any(row.get(columns.get("tools", "")) for row in rows):
        named["tools"] = columns[FUNCTIONS]
    return named


def _select_columns(kind: str, columns: dict[str, str]) -> dict[str, str]:
    """The columns that this kind of data uses."""
    away = {"sft": ("chosen", "rejected", "kto_tag"), "kto": ("chosen", "rejected")}
    unused = away.get(kind, ("response", "kto_tag") if kind == "preference" else ())
    return {key: name for key, name in columns.items() if key not in unused}


def _reason_code(kind: str, columns: Mapping[str, str]) -> str:
    if kind in {"preference", "kto"}:
        return f"detect_{kind}"
    if columns.get("messages"):
        return "detect_messages"
    return "detect_prompt" if kind == "prompt" else "detect_columns"


def _guess_by_lists(rows: list[dict[str, Any]]) -> Iterator[_Guess]:
    """Yield guesses for a column of message lists with another name or other role names."""
    lists = [name for name in _names(rows) if _holds_messages(rows, name)]
    column = find_best(lists, USUAL["messages"]) or next(iter(lists), "")
    if not column:
        return
    values = [row[column] for row in rows if isinstance(row.get(column), list)]
    items = [item for each in values for item in each if isinstance(item, dict)]
    tags = _find_role_names(items)
    if not tags:
        return
    others = [name for name in _names(rows) if name != column]
    columns = {"messages": column} | _pick(others, ("system", "tools"))
    formatting = "openai" if tags["role_tag"] == "role" else "sharegpt"
    tag = _tag_column(rows, others)
    if tag:
        with_tag = {**columns, "kto_tag": tag}
        yield _Guess("kto", with_tag, 0.8, "detect_kto", formatting, tags)
    pair = _pick(others, ("chosen", "rejected"))
    if len(pair) == 2:
        both = {**columns, **pair}
        yield _Guess("preference", both, 0.85, "detect_preference", formatting, tags)
    sure = 0.9 if find_best([column], USUAL["messages"]) else 0.75
    yield _Guess("sft", columns, sure, "detect_messages", formatting, tags)


def _holds_messages(rows: Iterable[DataRow], name: str) -> bool:
    values = [row.get(name) for row in rows]
    lists = [value for value in values if isinstance(value, list) and value]
    return bool(lists) and all(isinstance(value[0], dict) and len(value[0]) > 1 for value in lists)


def _find_role_names(items: list[dict[str, Any]]) -> dict[str, str]:
    """Find the names of keys and roles in these messages; {} where they are unknown."""
    keys = list(dict.fromkeys(key for item in items for key in item))
    role, content = find_best(keys, ROLE_KEYS), find_best(keys, CONTENT_KEYS)
    if not role or not content:
        return {}
    roles = list(dict.fromkeys(str(item.get(role)) for item in items))
    start = OPENAI if role == "role" else SHAREGPT
    role_names = {key: find_best(roles, words) or start[key] for key, words in ROLES.items()}
    return {"role_tag": role, "content_tag": content, **role_names}


def _guess_by_names(rows: list[dict[str, Any]]) -> Iterator[_Guess]:
    """Yield guesses for question and answer (or two answers, or a text) by common names."""
    texts = [name for name in _names(rows) if _is_text(rows, name)]
    pair = _pick(texts, ("chosen", "rejected"))
    rest = [name for name in texts if name not in pair.values()]
    asked = find_best(rest, USUAL["prompt"])
    if len(pair) == 2 and asked:
        columns = {"prompt": asked, **pair, **_pick_context(rows, asked, *pair.values())}
        yield _Guess("preference", columns, 0.85, "detect_preference")
    answer = find_best(rest, USUAL["response"])
    asked = find_best([name for name in rest if name != answer], USUAL["prompt"])
    if asked and answer:
        columns = {"prompt": asked, "response": answer, **_pick_context(rows, asked, answer)}
        tag = _tag_column(rows, [n for n in _names(rows) if n not in {asked, answer}])
        if tag:
            yield _Guess("kto", {**columns, "kto_tag": tag}, 0.8, "detect_kto")
        yield _Guess("sft", columns, 0.9, "detect_columns")
    text = find_best(texts, USUAL["text"])
    if text and not (asked and answer) and (len(texts) == 1 or not asked):
        yield _Guess("text", {"prompt": text}, 0.8, "detect_text")


def _pick_context(rows: list[dict[str, Any]], *taken: str) -> dict[str, str]:
    """Further input, system text, history and tools, where columns have such names."""
    rest = [name for name in _names(rows) if name not in taken]
    columns = _pick(rest, ("query", "system", "history", "tools"))
    texts = {key for key in ("query", "system") if not _is_text(rows, columns.get(key, ""), 0.01)}
    return {key: name for key, name in columns.items() if key not in texts}


def _guess_by_place(rows: list[dict[str, Any]]) -> Iterator[_Guess]:
    """Guess that the first column of texts is the question and the longest other the answer."""
    texts = [name for name in _names(rows) if _is_text(rows, name)]
    if len(texts) == 1:
        yield _Guess("text", {"prompt": texts[0]}, 0.4, "detect_text")
    if len(texts) < 2:
        return
    lengths = {name: sum(len(str(row.get(name) or "")) for row in rows) for name in texts[1:]}
    answer = max(texts[1:], key=lambda name: lengths[name])
    yield _Guess("sft", {"prompt": texts[0], "response": answer}, 0.3, "detect_place")


def _pick(names: list[str], keys: tuple[str, ...]) -> dict[str, str]:
    """The best of these columns for each key; no column serves two keys."""
    columns: dict[str, str] = {}
    for key in keys:
        name = find_best([each for each in names if each not in columns.values()], USUAL[key])
        if name:
            columns[key] = name
    return columns


def _tag_column(rows: list[dict[str, Any]], names: list[str]) -> str:
    """The column of true and false whose name says that it judges answers; else ""."""
    allowed = {"true", "false", "1", "0"}
    flags = [
        name for name in names if all(str(row.get(name)).strip().lower() in allowed for row in rows)
    ]
    return find_best(flags, USUAL["kto_tag"])


def _is_text(rows: list[dict[str, Any]], name: str, share: float = ENOUGH) -> bool:
    """Whether a column holds words in enough rows; numbers and the like count as such only
    under a name that says so."""
    texts = [text_of(row.get(name)) for row in rows]
    words = [word.strip() for word in texts if word and word.strip()]
    if len(words) < share * len(rows) or not words or name in media.COLUMNS:
        return False
    if any(media.is_media(name, row.get(name)) for row in rows):
        return False
    return normalize_name(name) in SPOKEN or not all(map(bare.fullmatch, words))


def _names(rows: Iterable[DataRow]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row))


def _explain_guess(guess: _Guess, rows: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield the reason for a guess, and the columns that it does not use."""
    yield _reason(guess.why, **{**dict.fromkeys(NAMED, "-"), **guess.tags, **guess.columns})
    unused = [name for name in _names(rows) if name not in guess.columns.values()]
    if unused:
        yield _reason("detect_unused", columns=", ".join(unused)[:200])


def _explain_failure(tried: list[_Trial], first: Sample) -> Iterator[Problem]:
    """Yield why no row fits: what is wrong with the rows under the surest layout whose columns
    are present, or that there is no such layout."""
    for trial in tried:
        judged = all(code.startswith("row_") for code in trial.refused)
        held = {"row_media", "row_placeholder"} & set(trial.refused)
        if held or (judged and trial.guess.kind not in {"text", "prompt"}):
            yield from _explain_refusals(trial, first)
            return
    yield _reason("detect_nothing", columns=", ".join(_names(first.rows))[:200] or "-")


def _explain_refusals(trial: _Trial, first: Sample) -> Iterator[Problem]:
    """Yield a notice for each reason why rows do not fit, with their number."""
    for code, numbers in trial.refused.items():
        line = first.lines[numbers[0] - 1]
        params: dict[str, str | int] = {"file": first.file, "count": len(numbers), "line": line}
        yield Problem(code=code, params=params, notice=True)


def _reason(code: str, **params: str | int) -> Problem:
    return Problem(code=code, params=params, notice=True)
