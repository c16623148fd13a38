"""Files with a row a line: JSON lines, CSV and TSV, plain text. Readers give (mark, line, row)."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.datafiles.text import MAX_LINE, Lines, Mark, decoder, refused_value
from backend.datafiles.wrong import shown, wrong

Row = dict[str, Any]
Marked = Iterator[tuple[Mark, int, Row]]


def line_rows(lines: Lines) -> Marked:
    """The objects of a file with one JSON object a line; blank lines are passed over."""
    before = lines.mark
    for text in lines:
        body = text.strip(" \t\r\n")
        if body:
            yield before, before.line, _object(lines.file, before.line, body)
        before = lines.mark


def line_marks(file: Path) -> Iterator[Mark]:
    """Where each row of a file of JSON lines or of plain text begins, without reading into it."""
    lines = Lines(file)
    before = lines.mark
    for raw in lines.raw():
        if raw.strip():
            yield before
        before = lines.mark


def text_rows(lines: Lines) -> Marked:
    """Each line that is not blank as {"text": line}."""
    before = lines.mark
    for text in lines:
        if text.strip():
            yield before, before.line, {"text": text.rstrip("\r\n")}
        before = lines.mark


def csv_rows(lines: Lines, separator: str = ",") -> Marked:
    """The rows of a CSV or TSV file whose first line names the columns; every value is text."""
    csv.field_size_limit(MAX_LINE)
    header: list[str] = []
    if lines.mark.offset:
        header = _cleaned(next(_records(Lines(lines.file), separator))[1])
    for mark, cells in _records(lines, separator):
        if not header:
            header = _cleaned(cells)
        else:
            yield mark, mark.line, _named(lines.file, mark.line, header, cells)


def marked(lines: Lines, form: str) -> Marked:
    """The rows of a file of this kind (".csv", ".jsonl", ...) from its mark on."""
    if form in {".csv", ".tsv"}:
        return csv_rows(lines, "\t" if form == ".tsv" else ",")
    return text_rows(lines) if form == ".txt" else line_rows(lines)


def _records(lines: Lines, separator: str) -> Iterator[tuple[Mark, list[str]]]:
    """Records that are not blank, each with its place."""
    before = lines.mark
    try:
        for cells in csv.reader(iter(lines), delimiter=separator):
            if any(cell.strip() for cell in cells):
                yield before, cells
            before = lines.mark
    except csv.Error as error:
        raise wrong("csv_broken", lines.file, line=before.line, reason=str(error)) from None


def _cleaned(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _object(file: Path, number: int, text: str) -> Row:
    try:
        row = decoder.decode(text)
    except json.JSONDecodeError as error:
        if number == 1 and text in {"{", "["}:
            raise wrong("file_one_object", file) from None
        raise wrong(
            "data_bad_json",
            file,
            line=number,
            column=error.pos + 1,
            reason=error.msg,
            text=shown(text),
        ) from None
    except (ValueError, RecursionError) as error:  # digits without end; nesting without end
        known = refused_value(error, file, number)
        if known is not None:
            raise known from None
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number too long"
        raise wrong(
            "data_bad_json", file, line=number, column=1, reason=reason, text=shown(text)
        ) from None
    if not isinstance(row, dict):
        raise wrong("row_no_object", file, line=number, text=shown(text))
    return row


def _named(file: Path, line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise wrong("csv_cells", file, line=line, found=len(cells), expected=len(header))
    return dict(zip(header, cells, strict=True))
