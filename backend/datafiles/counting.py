"""Count the rows of a text file of some megabytes without making rows of them.

What `reading.rows` refuses stays uncounted where this shows without reading each value.
"""

import csv
import io
import json
from pathlib import Path

from backend.contract.registry.dataset_info import kind
from backend.contract.texts.problems import DataError
from backend.datafiles import separators
from backend.datafiles.compressed import open_unpacked
from backend.datafiles.text import BOM, NotANumber, starts_array

MOST = 32 * 1024 * 1024  # bytes of unpacked content that are held at once


def count(file: Path) -> int | None:
    """How many rows the file has; None where that shows only by reading them."""
    return _count(file) or None  # a file without rows is refused


def _count(file: Path) -> int | None:
    try:
        with open_unpacked(file) as stream:
            content = stream.read(MOST + 1)
        text = content.removeprefix(BOM).decode()
        if len(content) > MOST:
            return None
        form = kind(file.name)
        if form in {".csv", ".tsv"}:
            return _count_records(file, text)
        if form == ".txt":
            return sum(map(bool, map(str.strip, text.split("\n"))))
        return _count_values(text) if starts_array(file) else _count_lines(text)
    except (ValueError, RecursionError, csv.Error, DataError):
        return None


def _count_lines(text: str) -> int | None:
    """The objects of a file with one on each line."""
    lines = [line for line in text.split("\n") if line.strip(" \t\r")]
    values = _count_values(f"[{','.join(lines)}]")
    return values if values == len(lines) else None


def _count_values(text: str) -> int | None:
    rows = json.loads(text, parse_constant=_refuse)
    return len(rows) if set(map(type, rows)) <= {dict} else None


def _count_records(file: Path, text: str) -> int | None:
    """The records below the header of a table, which all have as many cells."""
    separator = separators.find(file)
    lines = io.StringIO(text, newline="\n")
    for _ in range(separator.header.line - 1):
        lines.readline()
    records = csv.reader(
        lines, delimiter=separator.mark, skipinitialspace=separator.spaced, strict=True
    )
    widths = [len(cells) for cells in records if "".join(cells).strip()]
    return max(0, len(widths) - 1) if len(set(widths)) <= 1 else None


def _refuse(word: str) -> None:
    raise NotANumber(word)
