"""Files with a row a line: JSON lines and CSV."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.datafiles.text import MAX_LINE, decoder, lines, refused_value
from backend.datafiles.wrong import shown, wrong

Row = dict[str, Any]


def line_rows(file: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a file with one JSON object a line; blank lines are passed over."""
    for number, text in lines(file):
        body = text.strip(" \t\r\n")
        if body:
            yield number, _object(file, number, body)


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


def csv_rows(file: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a CSV file (comma, header line first); every value is text."""
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(text for _, text in lines(file))
    line = 1
    header: list[str] = []
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
            else:
                yield start, _named(file, start, header, cells)
    except csv.Error as error:
        raise wrong("csv_broken", file, line=line, reason=str(error)) from None


def _named(file: Path, line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise wrong("csv_cells", file, line=line, found=len(cells), expected=len(header))
    return dict(zip(header, cells, strict=True))
