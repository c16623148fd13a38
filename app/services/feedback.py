"""Judged answers of the chat as rows of a data set: data/<name>/<name>.jsonl, registered.

A set is of one kind: sft (answers that are good), kto (answers and whether they are good) or
preference (the better and the worse of two answers). A row's `id` stands for what was judged:
who judges the same answer again changes its row.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collections.abc import Iterator

from app.services import chat_turns
from app.services.chat_turns import Turn
from backend.contract import dataset_info, registry
from backend.contract.dataset_info import REGISTRY
from backend.contract.files import make_readable, write_atomic
from backend.contract.home import data
from backend.contract.names import check_name
from backend.contract.problems import DataError, DiskFullError, Problem
from backend.contract.run_files import hold
from backend.datafiles import formats, turns

KINDS = ("sft", "kto", "preference")
WANTED = {"sft": "answer", "kto": "label", "preference": "pair"}  # as the stages do
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "sft": {},
    "kto": {"kto_tag": "label"},
    "preference": {"chosen": "chosen", "rejected": "rejected"},
}
SHARED = {"messages": "messages", "tools": "tools"}
WAIT_S = 10.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Chat:
    """What an answer was made from: the turns of its column, system prompt and tools' JSON."""

    history: Sequence[Turn]
    system: str = ""
    tools: str = ""

    def messages(self) -> list[Turn]:
        """The conversation as the API takes it. Raises DataError: the last turn is no answer."""
        last = self.history[-1] if self.history else {"role": "", "content": ""}
        words = chat_turns.text_of(last["content"])
        if last["role"] != "assistant" or not words.strip():
            raise DataError(Problem(code="feedback_no_answer"))
        if words.startswith(chat_turns.FAILED):
            raise DataError(Problem(code="feedback_failed_answer"))
        try:
            return chat_turns.messages(self.history, self.system)
        except ValueError:
            raise DataError(Problem(code="feedback_unfit")) from None


@dataclass(frozen=True)
class Kept:
    """Where a row lies, counted from 1; `new`: False where it stood there already."""

    row: int
    new: bool


def judged(chat: Chat, good: bool, kind: str) -> Row:
    """The row of one answer, for a set of the kind sft or kto.

    Raises DataError (no answer, not fit for training) and UsageError (tools).
    """
    messages, tools = chat.messages(), _tools(chat.tools)
    row: Row = {"id": _id([messages, tools]), "messages": messages, "tools": tools}
    return {**row, "label": good} if kind == "kto" else row


def preferred(better: Chat, worse: Chat) -> Row:
    """The row of two answers to the same messages of the person's.

    Where their columns have gone different ways, the conversation is that of the better answer.
    Raises as judged does, and DataError where there are not two answers to the same.
    """
    (*before, chosen), (*other, rejected) = better.messages(), worse.messages()
    if _asked(before) != _asked(other):
        raise DataError(Problem(code="feedback_other_question"))
    if chosen == rejected:
        raise DataError(Problem(code="feedback_same_answers"))
    tools = _tools(better.tools)
    sides = sorted([_text([*before, chosen]), _text([*other, rejected])])
    answers = {"chosen": chosen, "rejected": rejected}
    return {"id": _id([sides, tools]), "messages": before, "tools": tools, **answers}


def keep(name: str, kind: str, row: Row) -> Kept:
    """Add a row to the set, or put it in the place of the one with its id; made if missing.

    Raises DataError: a bad or taken name, a set of another kind, layout or place, a row that no
    stage could learn from, files that cannot be written; DiskFullError.
    """
    made = _entry(name, kind)
    _refuse_unfit(registry.judged(name, made, data()), row, kind)
    with _held(name) as file:
        known = _registered(name, made)
        rows = _rows(file, name, kind)
        places = [place for place, one in enumerate(rows) if one["id"] == row["id"]]
        new, fresh = not places, not file.exists()
        if new:
            rows.append(row)
            places = [len(rows) - 1]
        rows[places[0]] = row
        _write(file, rows)
        try:
            if not known:
                registry.register(name, made, data())
        except (DataError, DiskFullError):
            if fresh:
                file.unlink()
            raise
        return Kept(places[0] + 1, new)


def drop(name: str, kind: str, row: Row) -> bool:
    """Take the row with this id out of the set; False where it was not there. Raises as keep."""
    made = _entry(name, kind)
    registry.judged(name, made, data())
    if not (data() / name).exists():
        return False
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
        layout = formats.layout(entry, row, (entry.name, 1), WANTED[kind])
        formats.reader(layout)(row)
    except turns.RowError:
        raise DataError(Problem(code="feedback_unfit")) from None


@contextmanager
def _held(name: str) -> Iterator[Path]:
    """The file of a set while nobody else changes it. Raises DataError, DiskFullError."""
    folder = data() / name
    file = folder / f"{name}.jsonl"
    try:
        there = {each.name: None for each in data().iterdir()} if data().is_dir() else {}
        other = registry.twin(name, there)
        if other or folder.is_symlink() or file.is_symlink():
            raise _taken(name)
        folder.mkdir(parents=True, exist_ok=True)
        handle = hold(folder / f".{name}.lock", WAIT_S)
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


def _registered(name: str, made: Mapping[str, object]) -> bool:
    """Whether the set is registered. Raises DataError where the name belongs to another one."""
    path = data() / REGISTRY
    known = dataset_info.content(path, exact=True) if path.exists() else {}
    if registry.twin(name, known):
        raise _taken(name)
    if name not in known:
        return False
    found = known[name] if isinstance(known[name], dict) else {}
    if _layout(name, found) != _layout(name, made):
        raise _taken(name)
    return True


def _layout(name: str, row: Any) -> tuple[object, ...]:
    found = dataset_info.parsed(name, row, data() / REGISTRY)
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
    return DataError(Problem(code="feedback_taken", params={"name": name}))


def _tools(text: str) -> str:
    """The tools of the box as JSON text, "" where there are none. Raises UsageError."""
    found = chat_turns.tools(text)
    return _text(found) if found else ""


def _asked(messages: Sequence[Turn]) -> list[Any]:
    return [one["content"] for one in messages if one["role"] != "assistant"]


def _id(judged: Any) -> str:
    return hashlib.sha256(json.dumps(judged, sort_keys=True).encode()).hexdigest()[:24]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
