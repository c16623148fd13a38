"""The disk of a run while it trains: what is free of it, and what the run's checkpoints take."""

import os
import shutil
from pathlib import Path

from backend.contract.runs.checkpoints import FOLDER


def free_bytes(folder: Path) -> int | None:
    """The bytes free on the disk that holds a run; None where the system does not tell."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def checkpoint_bytes(folder: Path) -> int:
    """The bytes of all checkpoints of a run. One that is removed meanwhile counts what is left."""
    points = [each for each in _list_entries(folder) if FOLDER.fullmatch(each.name)]
    return sum(_size(entry) for point in points for entry in _list_entries(point.path))


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return sum(_size(inner) for inner in _list_entries(entry.path))
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _list_entries(folder: str | Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
