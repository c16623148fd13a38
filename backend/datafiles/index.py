"""Index of a large text file: where each thousandth row begins, so that any is found at once.

The index is made by a child process (`python -m backend.datafiles FILE...`), which outlives a
command that has started it, and kept in saves/.index; it holds for the file's size and time of
change.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.contract.folders.home import saves
from backend.contract.registry.dataset_info import TEXTS, kind
from backend.contract.system.child_process import Child, command
from backend.contract.system.files import read_json, take_lock, write_atomic
from backend.contract.texts.problems import TuneboardError
from backend.datafiles import arrays, tables
from backend.datafiles.text import Lines, Mark, starts_array

EVERY = 1000  # rows from one mark to the next
LARGE = 8 * 1024 * 1024  # bytes; smaller text files need no index
WRITE_S = 1.0
FOLDER = ".index"

_children: list[Child] = []


@dataclass
class Index:
    """Marks of rows 0, EVERY, 2 * EVERY, ...; `rows` counts those seen so far."""

    size: int  # bytes of the file
    changed: int  # ns since the epoch
    rows: int = 0
    done: bool = False
    marks: list[Mark] = field(default_factory=list)

    def nearest(self, row: int) -> tuple[Mark | None, int]:
        """The last known mark at or before a row, and that row's number (None, 0: the start)."""
        place = min(row // EVERY, len(self.marks) - 1)
        return (self.marks[place], place * EVERY) if place > 0 else (None, 0)

    @property
    def share(self) -> float:
        """How much of the file is indexed, from 0 to 1."""
        if self.done:
            return 1.0
        return min(1.0, self.marks[-1].offset / self.size) if self.marks and self.size else 0.0


def load(file: Path) -> Index:
    """Load the index of a file; an empty one where the file has changed or has none."""
    stat = file.stat()
    content: dict[str, Any] = dict(read_json(_path(file)))
    fresh = Index(stat.st_size, stat.st_mtime_ns)
    if (content.get("size"), content.get("changed")) != (fresh.size, fresh.changed):
        return fresh
    fresh.rows, fresh.done = content["rows"], content["done"]
    fresh.marks = [Mark(*pair) for pair in content["marks"]]
    return fresh


def is_needed(files: list[Path]) -> bool:
    """Whether these files are large enough, and of a kind, to need an index."""
    return sum(file.stat().st_size for file in _texts(files)) > LARGE


def ensure(files: list[Path]) -> None:
    """Start a child that indexes those of these files that need it and are not indexed yet."""
    for child in [child for child in _children if child.code is not None]:
        child.end()
        _children.remove(child)
    if _children or not is_needed(files):
        return
    missing = [file for file in _texts(files) if not load(file).done]
    if missing:
        log = saves() / FOLDER / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [str(file.absolute()) for file in missing]
        _children.append(Child(command(*words, module="backend.datafiles"), log=log))


def _texts(files: list[Path]) -> list[Path]:
    return [file for file in files if kind(file.name) in TEXTS]


def build(file: Path) -> Index:
    """Index a file to its end, writing every second how far it is; a broken row ends it there."""
    index = load(file)
    if index.done:
        return index
    path = _path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = take_lock(path.with_suffix(".lock"), 0.0)
    if lock is None:  # somebody else is at it
        return index
    try:
        return _build(file, path, Index(index.size, index.changed))
    finally:
        os.close(lock)


def _build(file: Path, path: Path, index: Index) -> Index:
    written = time.monotonic()
    try:
        for mark in _marks(file):
            if index.rows % EVERY == 0:
                index.marks.append(mark)
                if time.monotonic() - written > WRITE_S:
                    _write(path, index)
                    written = time.monotonic()
            index.rows += 1
        index.done = True
    except TuneboardError:  # reported when that row is read
        pass
    _write(path, index)
    return index


def _marks(file: Path) -> Iterator[Mark]:
    form = kind(file.name)
    if form in {".csv", ".tsv"}:
        return (mark for mark, _, _ in tables.read_rows(Lines(file), form))
    if form != ".txt" and starts_array(file):
        return (mark for mark, _, _ in arrays.array_rows(file))
    return tables.line_marks(file)


def _path(file: Path) -> Path:
    name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:32]
    return saves() / FOLDER / f"{name}.json"


def _write(path: Path, index: Index) -> None:
    marks = [[mark.offset, mark.line] for mark in index.marks]
    content = {"size": index.size, "changed": index.changed, "rows": index.rows}
    write_atomic(path, json.dumps({**content, "done": index.done, "marks": marks}))
