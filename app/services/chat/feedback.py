"""Save rated answers of the chat as rows of a registered data set, data/<name>/<name>.jsonl.

A set is of one kind: sft (good answers), kto (answers and whether they are good) or preference (the
better and the worse of two answers). A row's `id` is a hash of what was rated, so that rating the
same answer again replaces its row.
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
from backend.contract.folders.home import data
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import REGISTRY
from backend.contract.system.files import make_readable, take_lock, write_atomic
from backend.contract.texts.problems import DataError, DiskFullError, Problem, TuneboardError
from backend.datafiles import formats, layouts, turns
from backend.datafiles.values import DataRow

KINDS = ("sft", "kto", "preference")
WANTED = {"sft": "answer", "kto": "label", "preference": "pair"}  # layouts.WANTED of their stages
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "sft": {},
    "kto": {"kto_tag": "label"},
    "preference": {"chosen": "chosen", "rejected": "rejected"},
}
SHARED = {"messages": "messages", "tools": "tools"}
LOCK = ".feedback.lock"
WAIT_S = 10.0


@dataclass(frozen=True)
class StoredRow:
    """The number of a row, counted from 1, and whether it replaced an earlier rating."""

    number: int
    replaced: bool


def sft_row(messages: Sequence[Turn], tools: Sequence[Turn]) -> DataRow:
    """The row of a good answer, for a set of the kind sft. The answer is the last message."""
    tools_text = _text(list(tools)) if tools else ""
    return {"id": _id([messages, tools_text]), "messages": list(messages), "tools": tools_text}


def kto_row(messages: Sequence[Turn], tools: Sequence[Turn], good: bool) -> DataRow:
    """The row of a good or bad answer, for a set of the kind kto."""
    return {**sft_row(messages, tools), "label": good}


def preference_row(
    messages: Sequence[Turn], tools: Sequence[Turn], chosen: Turn, rejected: Turn
) -> DataRow:
    """The row of the better and the worse of two answers, for a set of the kind preference."""
    row = sft_row(messages, tools)
    sides = sorted([_text(chosen), _text(rejected)])
    return {**row, "id": _id([row["id"], sides]), "chosen": chosen, "rejected": rejected}


def save(name: str, kind: str, row: DataRow) -> StoredRow:
    """Add a row to the set, or replace the one with its id. The set is made if it is missing.

    Raises DataError for a bad or taken name, a set of another kind, layout or place, a row that no
    stage can learn from, or files that cannot be written; DiskFullError.
    """
    entry = _entry(name, kind)
    _refuse_unfit(registry.check_entry(name, entry, str(data())), row, kind)
    with _lock_set(name) as file:
        registered, rows = _is_registered(name, entry), _rows(file, name, kind)
        index = next(
            (number for number, stored in enumerate(rows) if stored["id"] == row["id"]), len(rows)
        )
        fresh = not file.exists()
        file.parent.mkdir(exist_ok=True)
        _write(file, [*rows[:index], row, *rows[index + 1 :]])
        try:
            if not registered:
                registry.register(name, entry, str(data()))
        except TuneboardError:
            if fresh:
                file.unlink()
            raise
        return StoredRow(index + 1, index < len(rows))


def remove(name: str, kind: str, row: DataRow) -> bool:
    """Remove the row with this id; False where there was none. Raises as `save` does."""
    entry = _entry(name, kind)
    with _lock_set(name) as file:
        _is_registered(name, entry)
        rows = _rows(file, name, kind)
        rest = [stored for stored in rows if stored["id"] != row["id"]]
        if len(rest) < len(rows):
            _write(file, rest)
        return len(rest) < len(rows)


def _entry(name: str, kind: str) -> dict[str, Any]:
    """The entry for dataset_info.json. Raises DataError for a bad name."""
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


def _refuse_unfit(entry: dataset_info.Entry, row: DataRow, kind: str) -> None:
    """Raise DataError where a stage would refuse the row."""
    try:
        layout = layouts.layout(entry, row, (entry.name, 1), WANTED[kind])
        formats.reader(layout)(row)
    except turns.RowError:
        raise DataError(Problem(code="feedback_unfit")) from None


@contextmanager
def _lock_set(name: str) -> Iterator[Path]:
    """Hold the lock of the sets and yield the file of this one. Raises DataError, DiskFullError."""
    folder = data() / name
    file = folder / f"{name}.jsonl"
    try:
        data().mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or file.is_symlink() or registry.find_twin(name, _names()):
            raise _other_set_error(name)
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


def _is_registered(name: str, entry: Mapping[str, object]) -> bool:
    """Whether the set is registered. Raises DataError where another set has the name."""
    path = data() / REGISTRY
    known = dataset_info.content(path, exact=True) if path.exists() else {}
    if registry.find_twin(name, known):
        raise _other_set_error(name)
    if name not in known:
        return False
    registered = known[name] if isinstance(known[name], dict) else {}
    if _layout(name, registered) != _layout(name, entry):
        raise _other_set_error(name)
    return True


def _layout(name: str, row: Any) -> tuple[object, ...]:
    entry = dataset_info.parse(name, row, data() / REGISTRY)
    return entry.path, entry.formatting, entry.ranking, entry.columns, entry.tags


def _rows(file: Path, name: str, kind: str) -> list[DataRow]:
    """The rows of the set. Raises DataError where they are of another kind."""
    if not file.exists():
        return []
    keys = {"id", *SHARED.values(), *COLUMNS[kind].values()}
    try:
        rows = [json.loads(line) for line in file.read_bytes().split(b"\n") if line.strip()]
    except (ValueError, RecursionError):
        raise _other_set_error(name) from None
    if any(not isinstance(row, dict) or set(row) != keys for row in rows):
        raise _other_set_error(name)
    return rows


def _write(file: Path, rows: list[DataRow]) -> None:
    write_atomic(file, "".join(f"{_text(row)}\n" for row in rows))
    make_readable([file])


def _other_set_error(name: str) -> DataError:
    return DataError(Problem(code="feedback_other_set", params={"name": name}))


def _id(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
