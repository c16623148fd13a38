"""Find the character between the cells of a .csv or .tsv file from its first records.

Spreadsheets write semicolons where the comma is the decimal sign; databases export tabs, pipes
and carets; all of them name the file .csv. The separator is the character by which most of the
first records have as many cells as the header; among several, the one that makes the most columns,
then the one that the file's ending means. A header without any of them is that of one column, and
separators in its texts are text. A first line `sep=;`, as Excel writes it, decides.

Where quotes stand behind blanks (`"q" ; "a"`) the blanks around all cells are dropped: by csv's
own rule such quotes would be text. A file that looks like a table by a mark that is common in
texts (a colon, say) is read as one column, with a notice.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from backend.contract.registry.dataset_info import kind
from backend.contract.texts.problems import Params, Problem
from backend.datafiles.text import MAX_LINE, Lines, Mark

USUAL = {".csv": ",", ".tsv": "\t"}
MARKS = (",", ";", "\t", "|", "^", "\x01")  # the last as Hive writes it
DOUBTFUL = ("|||", "::", "=>", "~", ":", "/", " - ")  # longer ones before what they hold
ALONE = "\x1f"  # "separates" the cells of a file with one column: stands in no text
RECORDS = 200  # that are looked at
ALMOST_ALL = 0.9  # share of the lines that a doubtful mark must divide alike
LINES = 2000  # that these may fill
DIRECTIVE = "sep="
DOUBT = "csv_doubtful"

column_name = re.compile(r"[^\W\d][\w .()-]{0,39}")


@dataclass(frozen=True)
class Separator:
    """The character between cells, and where the header begins (behind a line `sep=;`).

    `fitting` of the `records` that were looked at have the `columns` cells of the header.
    spaced: blanks around cells are left out; `doubtful`: of one column, the mark by which the file
    looks like a table all the same, or "".
    """

    mark: str
    header: Mark
    records: int = 0
    fitting: int = 0
    columns: int = 1
    spaced: bool = False
    doubtful: str = ""

    @property
    def share(self) -> float:
        """The share of the records that have the header's cells."""
        return self.fitting / max(1, self.records)

    @property
    def shown(self) -> str:
        """The character as messages show it."""
        names = {"\t": "\\t (tab)", "\x01": "\\x01 (Ctrl-A)", ALONE: "-"}
        return names.get(self.mark, self.mark)

    def records_of(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells of each record. Raises csv.Error."""
        for cells in csv.reader(lines, delimiter=self.mark, skipinitialspace=self.spaced):
            yield [cell.strip() for cell in cells] if self.spaced else cells


def find(file: Path) -> Separator:
    """The separator of a file. Raises DataError as reading its first lines does, OSError."""
    stat = file.stat()
    return _find(file, stat.st_size, stat.st_mtime_ns)


def reason(file: Path) -> Problem | None:
    """A notice that explains a separator other than the file's ending means; None where there is
    nothing to explain. Raises as find does."""
    usual = USUAL.get(kind(file.name))
    separator = find(file) if usual else None
    if separator is None or (separator.mark == usual and not separator.spaced):
        return None
    if separator.doubtful:
        params: Params = {"file": str(file), "separator": separator.doubtful}
        return Problem(code=DOUBT, params=params, notice=True)
    code = "csv_one_column" if separator.mark == ALONE else "csv_separator"
    code = "csv_spaced" if separator.spaced else code
    counts = {"columns": separator.columns, "records": separator.records}
    params = {**counts, "file": str(file), "separator": separator.shown}
    return Problem(code=code, params={**params, "fitting": separator.fitting}, notice=True)


@lru_cache(256)
def _find(file: Path, *_: int) -> Separator:
    csv.field_size_limit(MAX_LINE)
    lines = Lines(file)
    start = lines.mark
    first = next(iter(lines), "").strip()
    if first.lower().startswith(DIRECTIVE) and len(first) == len(DIRECTIVE) + 1:
        header = lines.mark
        return _count(list(islice(Lines(file, header), LINES)), Separator(first[-1], header))
    head = list(islice(Lines(file), LINES))
    usual = USUAL[kind(file.name)]
    separators = [_judge(head, mark, start) for mark in MARKS]
    best = max(separators, key=lambda each: (each.share, each.columns, each.mark == usual))
    if best.columns > 1:
        return best
    return Separator(ALONE, start, doubtful=next((m for m in DOUBTFUL if _divides(head, m)), ""))


def _judge(head: list[str], mark: str, start: Mark) -> Separator:
    plain = _count(head, Separator(mark, start))
    quoted = re.compile(f'{re.escape(mark)} +"(?!")|^ *"[^"]*" +{re.escape(mark)}')
    some = [line for line in head[:RECORDS] if line.strip()]
    if 2 * sum(bool(quoted.search(line)) for line in some) < max(1, len(some)):
        return plain
    spaced = _count(head, Separator(mark, start, spaced=True))
    return max(spaced, plain, key=lambda each: (each.share, each.columns))


def _count(head: list[str], separator: Separator) -> Separator:
    widths = list(islice(_widths(head, separator), RECORDS))
    columns = widths[0] if widths else 1
    fitting = sum(width == columns for width in widths) if columns > 1 else 0
    return replace(separator, records=len(widths), fitting=fitting, columns=columns)


def _divides(head: list[str], mark: str) -> bool:
    """Whether a mark divides a line of names, and nearly all lines after it in as many parts."""
    lines = [line.strip() for line in head[:RECORDS] if line.strip()]
    parts = [line.split(mark) for line in lines]
    if len(parts) < 2 or len(parts[0]) < 2:
        return False
    names = [column_name.fullmatch(name.strip(' "')) for name in parts[0]]
    same = sum(len(each) == len(parts[0]) for each in parts)
    return all(names) and same >= ALMOST_ALL * len(parts)


def _widths(head: list[str], separator: Separator) -> Iterator[int]:
    try:
        for cells in separator.records_of(head):
            if any(cell.strip() for cell in cells):
                yield len(cells)
    except csv.Error:  # reported when the record is read
        return
