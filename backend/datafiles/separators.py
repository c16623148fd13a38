"""Which character stands between the cells of a .csv or .tsv file: told by its first records.

Spreadsheets write semicolons where the comma is the decimal sign; databases export tabs and
pipes; all of it is named .csv. The separator is the character by which most of the first records
have as many cells as the header, where several do the one that makes the most columns, then the
one that the file's ending means. A header in which none of them stands is that of one column,
and the separators in its texts are text. A first line `sep=;`, as Excel writes it, is obeyed.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from backend.contract.dataset_info import kind
from backend.contract.problems import Params, Problem
from backend.datafiles.text import MAX_LINE, Lines, Mark

USUAL = {".csv": ",", ".tsv": "\t"}
MARKS = (",", ";", "\t", "|")
ALONE = "\x1f"  # "separates" the cells of a file with one column: stands in no text
RECORDS = 200  # that are looked at
LINES = 2000  # that these may fill
DIRECTIVE = "sep="


@dataclass(frozen=True)
class Separator:
    """The character between cells, and where the header begins (behind a line `sep=;`).

    `fitting` of the `records` that were looked at have the `columns` cells of the header.
    """

    mark: str
    header: Mark
    records: int = 0
    fitting: int = 0
    columns: int = 1

    @property
    def share(self) -> float:
        """The share of the records that have the header's cells."""
        return self.fitting / max(1, self.records)

    @property
    def shown(self) -> str:
        """The character as people are told it."""
        return {"\t": "\\t (tab)", ALONE: "-"}.get(self.mark, self.mark)


def find(file: Path) -> Separator:
    """The separator of a file. Raises DataError as reading its first lines does, OSError."""
    stat = file.stat()
    return _find(file, stat.st_size, stat.st_mtime_ns)


def reason(file: Path) -> Problem | None:
    """What a person should know: a separator that the file's ending does not mean, and why it is
    taken. None where there is nothing to say. Raises as find does."""
    usual = USUAL.get(kind(file.name))
    separator = find(file) if usual else None
    if separator is None or separator.mark == usual:
        return None
    code = "csv_one_column" if separator.mark == ALONE else "csv_separator"
    counts = {"columns": separator.columns, "records": separator.records}
    params: Params = {**counts, "file": str(file), "separator": separator.shown}
    return Problem(code=code, params={**params, "fitting": separator.fitting}, notice=True)


@lru_cache(256)
def _find(file: Path, *_: int) -> Separator:
    csv.field_size_limit(MAX_LINE)
    lines = Lines(file)
    start = lines.mark
    first = next(iter(lines), "").strip()
    if first.lower().startswith(DIRECTIVE) and len(first) == len(DIRECTIVE) + 1:
        return Separator(first[-1], lines.mark)
    head = list(islice(Lines(file), LINES))
    usual = USUAL[kind(file.name)]
    separators = [_judge(head, mark, start) for mark in MARKS]
    best = max(separators, key=lambda each: (each.share, each.columns, each.mark == usual))
    return best if best.columns > 1 else Separator(ALONE, start)


def _judge(head: list[str], mark: str, start: Mark) -> Separator:
    widths = list(islice(_widths(head, mark), RECORDS))
    columns = widths[0] if widths else 1
    fitting = sum(width == columns for width in widths) if columns > 1 else 0
    return Separator(mark, start, len(widths), fitting, columns)


def _widths(head: list[str], mark: str) -> Iterator[int]:
    try:
        for cells in csv.reader(head, delimiter=mark):
            if any(cell.strip() for cell in cells):
                yield len(cells)
    except csv.Error:  # told when the record is read
        return
