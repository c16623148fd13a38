"""Rows are counted without being read, and never otherwise than reading them would count."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.contract.texts.problems import DataError
from backend.datafiles import counting, index, reading, tables

ROWS = [{"question": f"q{number}", "answer": f"a{number}\n, x"} for number in range(30)]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(rows: list[dict[str, str]], mark: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
WHOLE = {
    "a.jsonl": LINES,
    "blank.jsonl": "\ufeff\n\n" + LINES.replace("\n", "\n \t\r\n") + "\n",
    "a.json": json.dumps(ROWS, indent=1),
    "array.jsonl": "\ufeff  \n" + json.dumps(ROWS),
    "lines.json": LINES,
    "a.txt": "one\n\n\u3000\n two\r\n\x0b\nthree",
    "a.csv": table(ROWS),
    "semicolon.csv": table(ROWS, ";"),
    "directive.csv": "sep=|\n" + table(ROWS, "|"),
    "blank.csv": table(ROWS).replace("q7", "\r\n,\r\n ,\r\n q7"),
    "spaced.csv": "a, b\n" + '"x, y", "z"\n' * 9,
    "one.csv": "text\nfirst\nsecond, with a comma\n",
    "a.tsv": table(ROWS, "\t"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_count_is_that_of_the_rows(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, WHOLE[name])
    assert counting.count(path) == sum(1 for _ in reading.rows(path))
    packed = write(tmp_path / f"{name}.gz", gzip.compress(WHOLE[name].encode()))
    assert counting.count(packed) == counting.count(path)


BROKEN = {
    "cut.jsonl": LINES[:-5],
    "word.jsonl": LINES + "[1]\n",
    "two.jsonl": LINES + '{"a": 1}, {"a": 2}\n',
    "nan.json": '[{"a": 1}, {"a": NaN}]',
    "number.json": '[{"a": 1}, 2]',
    "tail.json": json.dumps(ROWS) + "]",
    "cut.json": json.dumps(ROWS)[:-1],
    "cells.csv": table(ROWS) + "one cell\n",
    "quote.csv": table(ROWS) + 'x,"never closed\n',
    "empty.csv": "a,b\n",
    "empty.jsonl": "\n\n",
    "bytes.jsonl": b'{"a": "\xff"}\n',
    "deep.json": "[" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_reading_refuses_is_not_counted(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, BROKEN[name])
    assert counting.count(path) is None
    with pytest.raises(DataError):
        list(reading.rows(path))


cell = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_any_table_is_counted_as_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], mark: str
) -> None:
    rows = [{"first": first, "second": second} for first, second in cells]
    path = write(tmp_path_factory.mktemp("any") / "a.csv", table(rows, mark))
    try:
        expected = sum(1 for _ in reading.rows(path))
    except DataError:
        return
    assert counting.count(path) in {expected, None}


def test_a_large_page_reads_no_more_than_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look at a hundred thousand rows made a row of each, to count them."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    rows = [json.dumps({"question": f"What is {number}?"}) for number in range(100_000)]
    path = write(tmp_path / "a.jsonl", "\n".join(rows))
    assert reading.STRICT < path.stat().st_size < index.LARGE
    made: list[str] = []
    read = tables._read_object
    monkeypatch.setattr(tables, "_read_object", lambda *row: made.append(row[2]) or read(*row))
    assert reading.page(path, 0, 5).total == 100_000
    assert len(made) == 5
    counted: list[Path] = []
    monkeypatch.setattr(counting, "starts_array", lambda file: counted.append(file) or False)
    assert reading.page(path, 5, 5).total == 100_000
    assert not counted, "a count is remembered"
    with path.open("a") as file:
        file.write('\n{"question": "One more?"}\n')
    assert reading.page(path, 0, 5).total == 100_001


def test_a_broken_row_shows_as_soon_as_it_is_near(tmp_path: Path) -> None:
    """In a small file at once, in a larger one where something in it cannot be counted."""
    path = write(tmp_path / "a.jsonl", LINES + "broken\n")
    with pytest.raises(DataError):
        reading.page(path, 0, 5)
    larger = write(tmp_path / "b.jsonl", LINES * 1000 + "broken\n")
    assert larger.stat().st_size > reading.STRICT
    with pytest.raises(DataError):
        reading.page(larger, 0, 5)
