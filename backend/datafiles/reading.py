"""Read the rows of data files: json, jsonl, csv, tsv, txt (each also .gz or .zst), parquet, arrow.

A folder holds files of one kind, or is what datasets' save_to_disk has made.

The page imports this too, so nothing of torch, transformers or datasets is in here. A file is read
piece by piece: the first page of a huge file costs as much as that of a small one.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from backend.contract.registry.dataset_info import SUFFIXES, kind
from backend.contract.system import boundary
from backend.contract.system.files import read_json
from backend.datafiles import arrays, arrow, counting, index, parquet, tables, values
from backend.datafiles.refusals import file_error, refuse_code, refuse_special
from backend.datafiles.text import Lines, Mark, refuse_foreign, starts_array
from backend.datafiles.values import DataRow

COLUMNAR = {".parquet": parquet, ".arrow": arrow, ".feather": arrow}
FAR = 100 * index.EVERY  # rows that a page may pass over without an index
STRICT = 1024 * 1024  # bytes: smaller files are read whole once, so that any broken row shows

Rows = Iterator[tuple[int, DataRow]]
Place = Path | list[Path]  # a file, a folder, or several files one after the other


class Hit(NamedTuple):
    """A row: its number in the set (from 0), its line in its file (from 1), as `rows` has it."""

    number: int
    line: int
    row: DataRow


@dataclass(frozen=True)
class Page:
    """Some rows as they are in the file, and the line of each as `rows` gives it.

    total: number of all rows, None while it is not counted; indexed: share (0 to 1) of the files
    whose rows can be found at once; while it is below 1, rows far inside may be missing.
    """

    rows: list[DataRow]
    total: int | None
    indexed: float = 1.0
    lines: tuple[int, ...] = field(default=(), compare=False)


def page(place: Place, start: int, count: int) -> Page:
    """Read rows `start` (from 0) to `start + count` of a place. Raises as rows does.

    Large text files are indexed by a child process in the meantime.
    """
    parts = _list_parts(place)
    index.ensure(parts)
    wanted: list[tuple[int, DataRow]] = []
    skip = start
    for part in parts:
        size = _size(part)
        if size is not None and size <= skip:
            skip -= size
            continue
        part_rows, passed = _slice(part, skip, count - len(wanted))
        if passed is None:
            return Page([], None, _share_indexed(parts))
        wanted += part_rows
        if len(wanted) == count:
            break
        skip = max(0, skip - passed)
    lines = tuple(line for line, _ in wanted)
    return Page([row for _, row in wanted], _total(parts), _share_indexed(parts), lines)


def search(
    place: Place, words: str, start: int, count: int, seconds: float
) -> tuple[list[Hit], int]:
    """Find rows from number `start` on that hold `words` (in any case), and the number to go on
    from, which is -1 at the end of the data.

    Ends after `count` hits or `seconds`.
    """
    limit = time.monotonic() + seconds
    hits: list[Hit] = []
    number = start
    for line, row in _read_from(_list_parts(place), start):
        if words.casefold() in values.dumps(row, default=str).casefold():
            hits.append(Hit(number, line, row))
        number += 1
        if len(hits) == count or time.monotonic() > limit:
            return hits, number
    return hits, -1


def count(place: Place) -> int | None:
    """Count the rows of a place; None while a large file is not indexed to its end.

    Raises as rows does.
    """
    return _total(_list_parts(place))


def rows(path: Path) -> Rows:
    """Yield each row with its line (in Parquet and Arrow files its number), from 1.

    Raises DataError with file, line and column for broken JSON, NaN, text that is not UTF-8, a row
    that is no object, a file of another type, and a file without rows.
    """
    for part in files(path):
        number = 0
        for number, row in _read(part):
            yield number, row
        if not number:
            raise file_error("file_empty", part)


def files(path: Path) -> list[Path]:
    """The file itself, or the data files of a folder in the order of their names.

    Raises DataError where it is missing or holds no data, for several types or splits in one
    folder, and, for a visitor of the page, for files (links, too) outside the boundary.
    """
    boundary.require(path)
    refuse_special(path)
    if not path.is_dir():
        if kind(path.name) not in SUFFIXES:
            raise file_error("file_type", path, types=", ".join(SUFFIXES))
        return [path]
    refuse_code(path)
    inside = _list_saved(path) or _list_visible(path)
    for each in inside:
        boundary.require(each)
    return inside


def _list_visible(path: Path) -> list[Path]:
    """The data files of a folder by name. Raises DataError."""
    inside = sorted(each for each in path.iterdir() if kind(each.name) in SUFFIXES)
    inside = [each for each in inside if each.is_file() and not each.name.startswith(".")]
    if not inside:
        raise file_error("folder_without_data", path, types=", ".join(SUFFIXES))
    other = [each for each in inside if kind(each.name) != kind(inside[0].name)]
    if other:
        raise file_error("folder_mixed", path, first=inside[0].name, second=other[0].name)
    return inside


def _list_parts(place: Place) -> list[Path]:
    return place if isinstance(place, list) else files(place)


def _list_saved(folder: Path) -> list[Path]:
    """The files of a folder that datasets' save_to_disk has made, in order; [] for any other.

    Raises DataError where the folder holds several splits, each in a folder of its own.
    """
    splits = read_json(folder / "dataset_dict.json", boundary.open_file).get("splits")
    if isinstance(splits, list):
        raise file_error("folder_of_splits", folder, splits=", ".join(map(str, splits)))
    listed = read_json(folder / "state.json", boundary.open_file).get("_data_files")
    names = [str(entry.get("filename", "")) for entry in listed] if isinstance(listed, list) else []
    return [folder / name for name in names if (folder / name).is_file() and "/" not in name]


def _read(file: Path) -> Rows:
    source = COLUMNAR.get(kind(file.name))
    if source is not None:
        yield from source.rows(file)
        return
    for _, line, row in _read_marked(file):
        yield line, row


def _read_marked(file: Path, start: Mark | None = None) -> tables.MarkedRows:
    """The rows of a text file from a mark on."""
    try:
        if start is None:
            refuse_foreign(file)
        form = kind(file.name)
        if form in {".json", ".jsonl"} and starts_array(file):
            yield from arrays.array_rows(file, start)
        else:
            yield from tables.read_rows(Lines(file, start), form)
    except OSError as error:
        raise file_error("file_unreadable", file, reason=error.strerror or str(error)) from None


def _slice(part: Path, skip: int, count: int) -> tuple[list[tuple[int, DataRow]], int | None]:
    """Read at most `count` rows after the first `skip`, with their lines; also returns how many
    rows of the file come before the end of this slice.

    That number is None where the rows are too far inside a file that is not indexed yet.
    """
    source = COLUMNAR.get(kind(part.name))
    if source is not None:
        return list(enumerate(source.part(part, skip, count), skip + 1)), source.count(part)
    mark, number = index.load(part).nearest(skip)
    if skip - number > FAR and index.is_needed([part]):
        return [], None
    numbered: list[tuple[int, DataRow]] = []
    for _, line, row in _read_marked(part, mark):
        if number >= skip:
            numbered.append((line, row))
        number += 1
        if len(numbered) == count:
            break
    return numbered, number


def _read_from(parts: list[Path], start: int) -> Rows:
    """Every row from number `start` on, with its line."""
    for part in parts:
        size = _size(part)
        if size is not None and size <= start:
            start -= size
            continue
        source = COLUMNAR.get(kind(part.name))
        if source is not None:
            yield from enumerate(source.part(part, start, source.count(part) - start), start + 1)
            start = 0
            continue
        mark, number = index.load(part).nearest(start)
        for _, line, row in _read_marked(part, mark):
            if number >= start:
                yield line, row
            number += 1
        start = max(0, start - number)


def _size(part: Path) -> int | None:
    """The number of rows of a file; None where only reading it would tell."""
    source = COLUMNAR.get(kind(part.name))
    if source is not None:
        return int(source.count(part))
    known = index.load(part)
    return known.rows if known.done else None


def _total(parts: list[Path]) -> int | None:
    """The number of rows; None while a large file is not indexed to its end."""
    sizes = [_size(part) for part in parts]
    if index.is_needed(parts):
        return None if None in sizes else sum(size or 0 for size in sizes)
    return sum(
        _count_rows(part) if size is None else size for part, size in zip(parts, sizes, strict=True)
    )


def _count_rows(part: Path) -> int:
    """The number of rows, remembered until the file changes. Raises as rows does, for a small file
    and for one that is odd."""
    stat = part.stat()
    return _count_once(part, stat.st_size, stat.st_mtime_ns)


@lru_cache(1024)
def _count_once(part: Path, size: int, _: int) -> int:
    known = counting.count(part) if size > STRICT else None
    return sum(1 for _ in rows(part)) if known is None else known


def _share_indexed(parts: list[Path]) -> float:
    """The share of the data, by size, whose rows can be found at once."""
    if not index.is_needed(parts):
        return 1.0
    sizes = [part.stat().st_size for part in parts]
    shares = [1.0 if kind(part.name) in COLUMNAR else index.load(part).share for part in parts]
    return sum(size * share for size, share in zip(sizes, shares, strict=True)) / max(1, sum(sizes))
