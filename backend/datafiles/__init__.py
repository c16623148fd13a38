"""Light readers of data files: json, jsonl, csv, parquet, and folders of one of these.

The page imports this too, so nothing of torch, transformers or datasets is in here. A file is read
piece by piece: the first page of a huge file costs as much as that of a small one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from backend.contract.dataset_info import SUFFIXES
from backend.datafiles import arrays, parquet, tables
from backend.datafiles.text import refuse_foreign, starts_array
from backend.datafiles.wrong import wrong

COUNTED = 8 * 1024 * 1024  # bytes; the rows of larger text files are not counted for a page

Rows = Iterator[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Page:
    """Some rows as they are in the file; `total` is None where counting them would take long."""

    rows: list[dict[str, Any]]
    total: int | None


def page(path: Path, start: int, count: int) -> Page:
    """Rows `start` (from 0) to `start + count` of a file or folder. Raises as rows does."""
    parts = files(path)
    if parts[0].suffix.lower() == ".parquet":
        sizes = [parquet.count(part) for part in parts]
        return Page(list(_slices(parts, sizes, start, count)), sum(sizes))
    found = (row for part in parts for _, row in rows(part))
    wanted = list(islice(found, start, start + count))
    if sum(part.stat().st_size for part in parts) > COUNTED:
        ended = len(wanted) < count and (wanted or not start)
        return Page(wanted, start + len(wanted) if ended else None)
    if len(wanted) == count or start == 0:
        return Page(wanted, start + len(wanted) + sum(1 for _ in found))
    return Page(
        wanted, start + len(wanted) if wanted else sum(1 for part in parts for _ in rows(part))
    )


def rows(path: Path) -> Rows:
    """Each row with its line (parquet: its number), from 1.

    Raises DataError naming file, line and column: broken JSON, NaN, not UTF-8, a row that is no
    object, something else under this name, no row at all.
    """
    for part in files(path):
        number = 0
        for number, row in _read(part):
            yield number, row
        if not number:
            raise wrong("file_empty", part)


def files(path: Path) -> list[Path]:
    """The file itself, or the data files of a folder by name.

    Raises DataError: missing, nothing to read in it, several types in one folder.
    """
    if not path.exists():
        raise wrong("data_file_missing", path)
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise wrong("file_type", path, types=", ".join(SUFFIXES))
        return [path]
    inside = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
    inside = [each for each in inside if each.is_file() and not each.name.startswith(".")]
    if not inside:
        raise wrong("folder_without_data", path, types=", ".join(SUFFIXES))
    other = [each for each in inside if each.suffix.lower() != inside[0].suffix.lower()]
    if other:
        raise wrong("folder_mixed", path, first=inside[0].name, second=other[0].name)
    return inside


def _read(file: Path) -> Rows:
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from parquet.rows(file)
            return
        refuse_foreign(file)
        if suffix == ".csv":
            yield from tables.csv_rows(file)
        elif starts_array(file):
            yield from arrays.array_rows(file)
        else:
            yield from tables.line_rows(file)
    except OSError as error:
        raise wrong("file_unreadable", file, reason=error.strerror or str(error)) from None


def _slices(
    parts: list[Path], sizes: list[int], start: int, count: int
) -> Iterator[dict[str, Any]]:
    for part, size in zip(parts, sizes, strict=True):
        taken = max(0, min(count, size - start))
        if taken:
            yield from parquet.part(part, start, taken)
        start, count = max(0, start - size), count - taken
