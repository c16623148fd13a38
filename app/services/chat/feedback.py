"""Judged answers of the chat as rows of a data set: data/<name>/<name>.jsonl, registered.

A set is of one kind: sft (answers that are good), kto (answers and whether they are good) or
preference (the better and the worse of two answers). A row's `id` stands for what was judged:
who judges the same answer again changes its row.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.chat.chat_turns import Turn
from backend.contract.arguments.names import check_name
from backend.contract.base.files import make_readable, write_atomic
from backend.contract.base.home import data
from backend.contract.base.problems import DataError, DiskFullError, Problem, TuneboardError
from backend.contract.base.run_files import take_lock
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import REGISTRY
from backend.datafiles import formats, layouts, turns

KINDS = ("sft", "kto", "preference")
WANTED = {"sft": "answer", "kto": "label", "preference": "pair"}  # as the stages do
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "sft": {},
    "kto": {"kto_tag": "label"},
    "preference": {"chosen": "chosen", "rejected": "rejected"},
}
SHARED = {"messages": "messages", "tools": "tools"}
LOCK = ".feedback.lock"
WAIT_S = 10.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """Where a row lies, counted from 1, and whether it took the place of an earlier judgement."""

    number: int
    replaced: bool


def answered(messages: Sequence[Turn], tools: Sequence[Turn]) -> Row:
    """The row of a good answer, for a set of the kind sft; the answer is the last message."""
    written = _text(list(tools)) if tools else ""
    return {"id": _id([messages, written]), "messages": list(messages), "tools": written}


def judged(messages: Sequence[Turn], tools: Sequence[Turn], good: bool) -> Row:
    """The row of a good or bad answer, for a set of the kind kto."""
    return {**answered(messages, tools), "label": good}


def preferred(asked: Sequence[Turn], tools: Sequence[Turn], chosen: Turn, rejected: Turn) -> Row:
    """The row of the better and the worse of two answers, for a set of the kind preference."""
    row = answered(asked, tools)
    sides = sorted([_text(chosen), _text(rejected)])
    return {**row, "id": _id([row["id"], sides]), "chosen": chosen, "rejected": rejected}


def keep(name: str, kind: str, row: Row) -> Kept:
    """Add a row to the set, or put it in the place of the one with its id; made if missing.

    Raises DataError: a bad or taken name, a set of another kind, layout or place, a row that no
    stage could learn from, files that cannot be written; DiskFullError.
    """
    made = _entry(name, kind)
    _refuse_unfit(registry.check_entry(name, made, str(data())), row, kind)
    with _held(name) as file:
        known, rows = _registered(name, made), _rows(file, name, kind)
        found = next((n for n, one in enumerate(rows) if one["id"] == row["id"]), len(rows))
        fresh = not file.exists()
        file.parent.mkdir(exist_ok=True)
        _write(file, [*rows[:found], row, *rows[found + 1 :]])
        try:
            if not known:
                registry.register(name, made, str(data()))
        except TuneboardError:
            if fresh:
                file.unlink()
            raise
        return Kept(found + 1, found < len(rows))


def drop(name: str, kind: str, row: Row) -> bool:
    """Take the row with this id out of the set; False where it was not there. Raises as keep."""
    made = _entry(name, kind)
    with _held(name) as file:
        _registered(name, made)
        rows = _rows(file, name, kind)
        rest = [one for one in rows if one["id"] != row["id"]]
        if len(rest) < len(rows):
            _write(file, rest)
        return len(rest) < len(rows)


def _entry(name: str, kind: str) -> dict[str, Any]:
    """The entry of dataset_info.json. Raises DataError for a bad name."""
    problem = check_name(name)
    if problem is not None:
        raise DataError(problem)
    entry = {
        "file_name": f"{name}/{name}.jsonl",
        "formatting": "openai",
        "columns": {**SHARED, **COLUMNS[kind]},
        "tags": dict(turns.OPENAI),
    }
    return {**entry, "ranking": True} if kind == "preference" else entry


def _refuse_unfit(entry: dataset_info.Entry, row: Row, kind: str) -> None:
    """Raises DataError where a stage would refuse the row."""
    try:
        layout = layouts.layout(entry, row, (entry.name, 1), WANTED[kind])
        formats.reader(layout)(row)
    except turns.RowError:
        raise DataError(Problem(code="feedback_unfit")) from None


@contextmanager
def _held(name: str) -> Iterator[Path]:
    """The file of a set while nobody else changes it. Raises DataError, DiskFullError."""
    folder = data() / name
    file = folder / f"{name}.jsonl"
    try:
        data().mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or file.is_symlink() or registry.find_twin(name, _names()):
            raise _taken(name)
        handle = take_lock(data() / LOCK, WAIT_S)
        if handle is None:
            raise DataError(Problem(code="registry_busy", params={"path": str(file)}))
        try:
            yield file
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in registry.FULL:
            raise DiskFullError(
                Problem(code="disk_full_data", params={"path": str(folder)})
            ) from None
        params = {"file": str(file), "reason": error.strerror or str(error)}
        raise DataError(Problem(code="file_unwritable", params=params)) from None


def _names() -> dict[str, None]:
    return {each.name: None for each in data().iterdir()}


def _registered(name: str, made: Mapping[str, object]) -> bool:
    """Whether the set is registered. Raises DataError where the name belongs to another one."""
    path = data() / REGISTRY
    known = dataset_info.content(path, exact=True) if path.exists() else {}
    if registry.find_twin(name, known):
        raise _taken(name)
    if name not in known:
        return False
    found = known[name] if isinstance(known[name], dict) else {}
    if _layout(name, found) != _layout(name, made):
        raise _taken(name)
    return True


def _layout(name: str, row: Any) -> tuple[object, ...]:
    found = dataset_info.parse(name, row, data() / REGISTRY)
    return found.path, found.formatting, found.ranking, found.columns, found.tags


def _rows(file: Path, name: str, kind: str) -> list[Row]:
    """The rows of the set so far. Raises DataError where they are not of this kind."""
    if not file.exists():
        return []
    keys = {"id", *SHARED.values(), *COLUMNS[kind].values()}
    try:
        rows = [json.loads(line) for line in file.read_bytes().split(b"\n") if line.strip()]
    except (ValueError, RecursionError):
        raise _taken(name) from None
    if any(not isinstance(row, dict) or set(row) != keys for row in rows):
        raise _taken(name)
    return rows


def _write(file: Path, rows: list[Row]) -> None:
    write_atomic(file, "".join(f"{_text(row)}\n" for row in rows))
    make_readable([file])


def _taken(name: str) -> DataError:
    return DataError(Problem(code="feedback_other_set", params={"name": name}))


def _id(judged: Any) -> str:
    return hashlib.sha256(json.dumps(judged, sort_keys=True).encode()).hexdigest()[:24]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
