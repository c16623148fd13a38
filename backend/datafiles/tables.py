"""Read files with one row per line: JSON lines, CSV, TSV, plain text; as (mark, line, row)."""

import csv
import json
import secrets
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from backend.datafiles import separators
from backend.datafiles.refusals import excerpt, file_error
from backend.datafiles.text import Lines, Mark, decoder, refusal_error
from backend.datafiles.values import DataRow

END = f"end {secrets.token_hex(16)}"

MarkedRows = Iterator[tuple[Mark, int, DataRow]]


def line_rows(lines: Lines) -> MarkedRows:
    """The objects of a file with one JSON object a line; blank lines are passed over."""
    before = lines.mark
    for text in lines:
        body = text.strip(" \t\r\n")
        if body:
            yield before, before.line, _read_object(lines.file, before.line, body)
        before = lines.mark


def line_marks(file: Path) -> Iterator[Mark]:
    """Yield where each row of a file of JSON lines or plain text begins, without parsing it."""
    lines = Lines(file)
    before = lines.mark
    for raw in lines.raw():
        if raw.strip():
            yield before
        before = lines.mark


def text_rows(lines: Lines) -> MarkedRows:
    """Each line that is not blank as {"text": line}."""
    before = lines.mark
    for text in lines:
        if text.strip():
            yield before, before.line, {"text": text.rstrip("\r\n")}
        before = lines.mark


def csv_rows(lines: Lines) -> MarkedRows:
    """The rows of a CSV or TSV file whose first line names the columns; every value is text."""
    separator = separators.find(lines.file)
    header: list[str] = []
    if lines.mark.offset:
        start = Lines(lines.file, separator.header)
        header = _read_header(lines.file, *next(_records(start, separator)))
    else:
        lines.mark = separator.header
    for mark, cells in _records(lines, separator):
        if not header:
            header = _read_header(lines.file, mark, cells)
        elif len(cells) == len(header):
            yield mark, mark.line, dict(zip(header, cells, strict=True))
        else:
            raise file_error(
                "csv_cells",
                lines.file,
                line=mark.line,
                found=len(cells),
                expected=len(header),
                separator=separator.shown,
            )


def read_rows(lines: Lines, form: str) -> MarkedRows:
    """The rows of a file of this kind (".csv", ".jsonl", ...) from its mark on."""
    if form in {".csv", ".tsv"}:
        return csv_rows(lines)
    return text_rows(lines) if form == ".txt" else line_rows(lines)


def _records(lines: Lines, separator: separators.Separator) -> Iterator[tuple[Mark, list[str]]]:
    """Yield the records that are not blank, each with its place."""
    before = lines.mark
    try:
        for cells in separator.records_of(chain(lines, [END])):
            if _is_end(cells):
                return
            if any(cell.strip() for cell in cells):
                yield before, cells
            before = lines.mark
    except csv.Error as error:
        if str(error).startswith("new-line character"):
            raise file_error("csv_line_ends", lines.file, line=before.line) from None
        raise file_error("csv_broken", lines.file, line=before.line, reason=str(error)) from None


def _is_end(cells: list[str]) -> bool:
    """Whether this record is the END line that is appended to the file.

    Raises csv.Error where END is within a cell: csv silently takes everything after an open quote,
    to the end of the file, for one cell.
    """
    if cells and cells[-1].endswith(END) and cells != [END]:
        raise csv.Error("a double quote is opened and never closed")
    return cells == [END]


def _read_header(file: Path, mark: Mark, cells: list[str]) -> list[str]:
    """Read the names of the columns; empty ones are numbered. Raises DataError for a name that
    is there twice, since one of the two columns would be lost unseen."""
    names = [cell.strip() or f"Unnamed: {at}" for at, cell in enumerate(cells)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise file_error("csv_column_twice", file, line=mark.line, column=excerpt(twice))
    return names


def _read_object(file: Path, number: int, text: str) -> DataRow:
    try:
        row = decoder.decode(text)
    except json.JSONDecodeError as error:
        if number == 1 and text in {"{", "["}:
            raise file_error("file_one_object", file) from None
        raise file_error(
            "data_bad_json",
            file,
            line=number,
            column=error.pos + 1,
            reason=error.msg,
            text=excerpt(text),
        ) from None
    except (ValueError, RecursionError) as error:  # digits without end; nesting without end
        known = refusal_error(error, file, number)
        if known is not None:
            raise known from None
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number too long"
        raise file_error(
            "data_bad_json", file, line=number, column=1, reason=reason, text=excerpt(text)
        ) from None
    if not isinstance(row, dict):
        raise file_error("row_no_object", file, line=number, text=excerpt(text))
    return row
