"""Read every row of a data set as training would, and count what is wrong with the rows.

A broken row is counted and passed over (lenient) or ends the check (strict); no row is left out
silently. A broken JSON array cannot be read beyond the mistake, which the report says.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from backend.contract.registry.dataset_info import PACKED, Entry, kind
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import arrays, formats, layouts, reading, separators, tables, values
from backend.datafiles.compressed import Watch
from backend.datafiles.detect import STAGES
from backend.datafiles.entering import kind_of_set
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import Layout
from backend.datafiles.refusals import excerpt, file_error
from backend.datafiles.survey import FIRST, Place, Remark, Survey
from backend.datafiles.text import Lines, Mark, refuse_foreign, starts_array
from backend.datafiles.turns import RowError
from backend.datafiles.values import DataRow

LONG = 100_000  # characters of a row
TELL_S = 0.2

Progress = Callable[[float], None]
Read = Callable[[DataRow], Conversation]


@dataclass
class Finding:
    """One thing that is wrong with rows of one file: their count, and for the first of them the
    number in the set and the line in the file, both from 1.

    level: "stops" (training ends), "refused" (the row is left out) or "notice".
    """

    problem: Problem
    level: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The finding as `tuneboard data check --json` prints it."""
        return {
            "code": self.problem.code,
            "level": self.level,
            "count": self.count,
            "rows": self.rows,
            "lines": self.lines,
            "params": dict(self.problem.params),
            "text": self.to_problem().text(),
        }

    def to_problem(self) -> Problem:
        """The problem with its count."""
        params = {**self.problem.params, "count": self.count}
        return Problem(code=self.problem.code, params=params, notice=self.level == "notice")


@dataclass
class Report:
    """The result of a check: `rows` were read, `usable` of them can be learned from.

    complete: every file was read to its end; bytes: size of the files on the disk; seconds: time
    that the check took.
    """

    name: str
    stage: str
    rows: int = 0
    usable: int = 0
    bytes: int = 0
    seconds: float = 0.0
    longest: int = 0  # characters
    complete: bool = True
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    survey: Survey = field(default_factory=Survey)

    @property
    def good(self) -> bool:
        """Whether training takes every row."""
        return self.complete and all(
            finding.level == "notice" for finding in self.findings.values()
        )

    def add(self, problem: Problem, row: int, line: int, level: str) -> None:
        """Count a problem of a row of the set, with its line in the file (0: not in a row)."""
        key = (problem.code, str(problem.params.get("file", "")))
        finding = self.findings.setdefault(key, Finding(problem, level))
        finding.count += 1
        if line and len(finding.lines) < FIRST:
            finding.rows.append(row)
            finding.lines.append(line)

    def remark(self, remark: Remark) -> None:
        """Add what is unusual across several rows."""
        file, line, _ = remark.tally.first[0]
        params = {"file": file, "line": line, **remark.params}
        problem = Problem(code=remark.code, params=params, notice=True)
        places = [place for place in remark.tally.first if place.file == file]
        rows, lines = [place.row for place in places], [place.line for place in places]
        self.findings[remark.code, file] = Finding(
            problem, "notice", remark.tally.count, rows, lines
        )

    def to_json(self) -> dict[str, object]:
        """The report as `tuneboard data check --json` prints it."""
        away = {"findings", "survey"}
        plain = {key: value for key, value in vars(self).items() if key not in away}
        findings = [finding.to_json() for finding in self.findings.values()]
        return {**plain, "good": self.good, "findings": findings}


@dataclass(frozen=True)
class Checking:
    """Options of a check.

    stage: "" for the one that the entry or the first rows imply; strict: the first mistake ends
    the check; strict_turns: turns out of order are a mistake; long: characters from which on a row
    is reported as long.
    """

    stage: str = ""
    strict: bool = False
    strict_turns: bool = False
    long: int = LONG
    progress: Progress | None = None  # gets the share that is read, 0 to 1, now and then


class _Enough(Exception):
    """Ends a strict check at its first mistake."""


def check(entry: Entry, how: Checking | None = None, parts: list[Path] | None = None) -> Report:
    """Read every row of a data set; `parts`: its files, where it lies on a hub.

    Raises DataError where it is missing.
    """
    if parts is None:
        assert entry.path is not None
        parts = reading.files(entry.path)
    how = how or Checking()
    if not how.stage:
        here = entry if entry.path else replace(entry, path=parts[0])
        how = replace(how, stage=STAGES[kind_of_set(here)])
    report, start = Report(entry.name, how.stage), time.monotonic()
    sizes = [part.stat().st_size for part in parts]
    meter = _Meter(how.progress, sum(sizes))
    try:
        for part, size in zip(parts, sizes, strict=True):
            _File(part, size, entry, how, report, meter).read()
            meter.done += size
            report.bytes += size
    except _Enough:
        report.complete = False
    for remark in report.survey.remarks():
        report.remark(remark)
    meter.now(0, force=True)
    report.seconds = round(time.monotonic() - start, 3)
    return report


@dataclass
class _Meter:
    """Reports the share of bytes that are read, at most every TELL_S seconds."""

    progress: Progress | None
    total: int
    done: int = 0
    at: float = 0.0

    def now(self, read: int, force: bool = False) -> None:
        if self.progress and (force or time.monotonic() - self.at > TELL_S):
            self.at = time.monotonic()
            self.progress(min(1.0, (self.done + read) / max(1, self.total)))


@dataclass
class _File:
    """One file of a set under check."""

    path: Path
    size: int
    entry: Entry
    how: Checking
    report: Report
    meter: _Meter

    def read(self) -> None:
        """Count and judge every row."""
        rows, before = self._rows(), len(self.report.findings)
        first = next(rows, None)
        if first is None:
            if len(self.report.findings) == before:
                self._wrong(file_error("file_empty", self.path), 0)
            return
        self._notice_separator()
        layout = self._layout(*first)
        read = formats.reader(layout, strict=self.how.strict_turns) if layout else None
        for line, row in chain([first], rows):
            self.report.rows += 1
            if layout:
                self.report.survey.row(self._place(line), row, layout)
            self._judge(line, row, read)

    def _notice_separator(self) -> None:
        notice = separators.reason(self.path)
        if notice:
            self.report.add(notice, 0, 0, "notice")

    def _layout(self, line: int, row: DataRow) -> Layout | None:
        """Find the layout of the rows; None where the columns are wrong, which is reported."""
        wanted = layouts.WANTED[self.how.stage]
        try:
            return layouts.layout(self.entry, row, (str(self.path), line), wanted)
        except DataError as error:
            self._wrong(error, line)
            return None

    def _judge(self, line: int, row: DataRow, read: Read | None) -> None:
        length = _length(row)
        self.report.longest = max(self.report.longest, length)
        if length > self.how.long:
            self._row("row_long", line, "notice", limit=self.how.long)
        try:
            if read is not None:
                conversation = read(row)
                for note in conversation.notes:
                    self._row(note, line, "notice")
                self.report.survey.conversation(self._place(line), conversation)
                self.report.usable += 1
        except RowError as error:
            self._row(error.code, line, "stops" if error.fatal else "refused")

    def _row(self, code: str, line: int, level: str, **params: int) -> None:
        all_params: dict[str, str | int] = {"file": str(self.path), "line": line, **params}
        self.report.add(Problem(code=code, params=all_params), self.report.rows, line, level)
        if self.how.strict and level != "notice":
            raise _Enough

    def _place(self, line: int) -> Place:
        """The place of the row that was counted last."""
        return Place(str(self.path), line, self.report.rows)

    def _wrong(self, error: DataError, line: int, row: int = 0) -> None:
        """Count a mistake that would stop training; `row` is the next one where it is 0."""
        self.report.add(error.problems[0], row or self.report.rows + 1, line, "stops")
        if self.how.strict:
            raise _Enough

    def _broken(self, error: DataError, line: int) -> None:
        """Count a row that cannot be read at all."""
        self.report.rows += 1
        self._wrong(error, line, self.report.rows)

    def _rows(self) -> Iterator[tuple[int, DataRow]]:
        """Yield every readable row with its line; unreadable ones are counted."""
        form = kind(self.path.name)
        try:
            if form in reading.COLUMNAR:
                yield from self._columnar()
                return
            refuse_foreign(self.path)
            if form in {".json", ".jsonl"} and starts_array(self.path):
                yield from self._array()
            else:
                yield from self._lines(form)
        except DataError as error:
            self.report.complete = False
            self._wrong(error, int(error.problems[0].params.get("line", 0)))
        except OSError as error:
            self.report.complete = False
            self._wrong(
                file_error("file_unreadable", self.path, reason=error.strerror or str(error)), 0
            )

    @cached_property
    def _watch(self) -> Watch | None:
        """Progress of a compressed file, whose offsets differ from its content's; else None."""
        return self.meter.now if self.path.suffix.lower() in PACKED else None

    def _at(self, mark: Mark) -> None:
        if not self._watch:
            self.meter.now(min(self.size, mark.offset))

    def _columnar(self) -> Iterator[tuple[int, DataRow]]:
        source = reading.COLUMNAR[kind(self.path.name)]
        total = max(1, source.count(self.path))
        for number, row in source.rows(self.path):
            self.meter.now(self.size * number // total)
            yield number, row

    def _lines(self, form: str) -> Iterator[tuple[int, DataRow]]:
        """Yield the rows of a file with one row per line, going on after a broken one."""
        lines = Lines(self.path, watch=self._watch)
        while True:
            at = lines.mark
            try:
                for mark, line, row in tables.read_rows(lines, form):
                    self._at(mark)
                    yield line, row
            except DataError as error:
                if lines.mark == at:  # no way past it
                    raise
                self._broken(error, int(error.problems[0].params.get("line", lines.mark.line - 1)))
            else:
                return

    def _array(self) -> Iterator[tuple[int, DataRow]]:
        """Yield the objects of a JSON array; values that are valid JSON but no usable row are
        counted and passed over."""
        decoder = _Decoder()
        for mark, row in arrays.array_values(self.path, None, decoder.json, self._watch):
            self._at(mark)
            fault = decoder.pop_fault(self.path, mark.line)
            if not isinstance(row, dict):
                text = excerpt(json.dumps(row))
                fault = file_error("row_no_object", self.path, line=mark.line, text=text)
            if fault:
                self._broken(fault, mark.line)
            else:
                yield mark.line, row


class _Decoder:
    """A JSON decoder that notes NaN and keys that are there twice instead of stopping."""

    def __init__(self) -> None:
        self._noted: list[tuple[str, str]] = []
        self.json = json.JSONDecoder(
            parse_constant=self._constant,
            parse_float=self._float,
            object_pairs_hook=self._pairs,
        )

    def pop_fault(self, file: Path, line: int) -> DataError | None:
        """Return the first fault that was noted as an error, and forget all of them."""
        noted, self._noted = self._noted, []
        if not noted:
            return None
        code, what = noted[0]
        if code == "key":
            return file_error("data_duplicate_key", file, line=line, key=excerpt(what))
        return file_error("data_nan", file, line=line, value=what[:40])

    def _constant(self, word: str) -> None:
        self._noted.append(("nan", word))

    def _float(self, digits: str) -> float:
        number = values.number(digits)
        if math.isinf(number):
            self._noted.append(("nan", digits))
        return number

    def _pairs(self, pairs: list[tuple[str, Any]]) -> DataRow:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in row if names.count(name) > 1)
            self._noted.append(("key", twice))
        return row


def _length(value: Any) -> int:
    """The characters of all texts in a value, however deep."""
    total, left = 0, [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            total += len(part)
        elif isinstance(part, dict):
            left += part.values()
        elif isinstance(part, list):
            left += part
    return total
