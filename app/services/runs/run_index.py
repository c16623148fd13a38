"""The index of ended runs: saves/.runs.jsonl, so that a new server need not read each run's folder.

A line is a run with the stamp of its folder; the last line of a folder counts, and only while the
folder still has that stamp. The file may be deleted at any time.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from app.services.runs import listed_run
from app.services.runs.listed_run import ListedRun
from backend.contract.system.files import write_atomic

FILE = ".runs.jsonl"
FORMAT = 1  # raised whenever a run is judged or written otherwise than before
SETTLED_S = 3.0  # the coarsest clock of a file system ticks every two seconds
SPARE_LINES = 1000  # outdated ones that may stay in the file


class Stamp(NamedTuple):
    """What changes with the names in a folder: its inode, and its times of change in ns."""

    inode: int
    modified: int
    changed: int

    @property
    def age(self) -> float:
        """Seconds since the last change; also where that lies ahead, by a clock that was set."""
        return abs(time.time_ns() - max(self.modified, self.changed)) / 1e9

    @property
    def is_settled(self) -> bool:
        """Whether a later change would show: two within a tick of a file system's clock do not."""
        return self.age > SETTLED_S


class Entry(NamedTuple):
    """A folder as it was when it was read, and the run in it; None where there was none."""

    stamp: Stamp
    run: ListedRun | None


def stamp_of(folder: str) -> Stamp | None:
    """The stamp of a folder or file; None where it is not there."""
    try:
        row = os.stat(folder)
    except (OSError, ValueError):  # a NUL in the name
        return None
    return Stamp(row.st_ino, row.st_mtime_ns, row.st_ctime_ns)


def load(saves: Path) -> dict[str, Entry]:
    """The entries by folder; outdated lines are dropped from the file once they are many."""
    try:
        lines = (saves / FILE).read_bytes().splitlines()
    except OSError:
        return {}
    entries: dict[str, Entry] = {}
    for line in lines:
        try:
            folder, entry = _parse(json.loads(line), saves)
        except (
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ):  # torn, or of another format
            continue
        entries[folder] = entry
    if len(lines) > 2 * len(entries) + SPARE_LINES:
        _rewrite(saves, entries)
    return entries


def append(saves: Path, entries: Mapping[str, Entry]) -> None:
    """Add entries of runs whose state is final. A folder that cannot be written has no index."""
    lines = _format(saves, entries)
    try:
        handle = os.open(saves / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, lines)
        finally:
            os.close(handle)
    except OSError:
        return


def _rewrite(saves: Path, entries: Mapping[str, Entry]) -> None:
    there = {folder: entry for folder, entry in entries.items() if os.path.isdir(folder)}
    try:
        write_atomic(saves / FILE, _format(saves, there))
    except OSError:
        return


def _format(saves: Path, entries: Mapping[str, Entry]) -> bytes:
    lines: Iterable[str] = (
        json.dumps(
            [FORMAT, folder.removeprefix(f"{saves}/"), *entry.stamp, listed_run.to_json(entry.run)]
        )
        for folder, entry in entries.items()
        if entry.run is not None
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _parse(row: Any, saves: Path) -> tuple[str, Entry]:
    """Raises ValueError or TypeError for what `_format` has not written."""
    version, place, *stamp, fields = row
    if version != FORMAT or not all(type(number) is int for number in stamp):
        raise ValueError(version)
    folder = os.path.join(saves, place)
    return folder, Entry(Stamp(*stamp), listed_run.from_json(folder, fields))
