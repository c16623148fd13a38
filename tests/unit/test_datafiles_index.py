"""Rows far inside large files, packed files, and the kinds that came later (D-10)."""

import csv
import gzip
import io
import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import zstandard

from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.problems import DataError
from backend.datafiles import compressed, index, reading, refusals
from backend.datafiles.check import check

ROWS = [{"q": f'Frage {n} "ä", 问\n{n}', "a": "x" * (n % 90)} for n in range(3000)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files count as large, and no child is started."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(index, "LARGE", 1000)
    monkeypatch.setattr(index, "EVERY", 100)
    monkeypatch.setattr(reading, "FAR", 500)
    monkeypatch.setattr(index, "ensure", lambda files: None)
    return tmp_path


def write_csv(separator: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["q", "a"], delimiter=separator)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue()


CONTENTS = {
    "a.json": json.dumps(ROWS),
    "b.json": "\ufeff \n" + json.dumps(ROWS, ensure_ascii=False, indent=1),
    "c.jsonl": "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS),
    "d.csv": "\ufeff" + write_csv(","),
    "e.tsv": write_csv("\t"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_any_row_is_found_through_the_index(home: Path, name: str) -> None:
    path = home / name
    path.write_bytes(CONTENTS[name].encode())
    before = reading.page(path, 2345, 3)
    assert (before.rows, before.total, before.indexed) == ([], None, 0.0)
    assert reading.page(path, 250, 2).rows == ROWS[250:252]
    built = index.build(path)
    assert (built.done, built.rows, len(built.marks)) == (True, 3000, 30)
    for start in (0, 99, 100, 2345, 2998):
        page = reading.page(path, start, 3)
        assert (page.rows, page.total, page.indexed) == (ROWS[start : start + 3], 3000, 1.0)
    assert reading.page(path, 3000, 3).rows == []


def test_an_index_begins_reading_near_the_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "c.jsonl"
    path.write_text(CONTENTS["c.jsonl"])
    built = index.build(path)
    path.write_bytes(b"\0" * 1000 + path.read_bytes()[1000:])  # the begin can no longer be read
    assert index.load(path).marks == []  # the file has changed
    monkeypatch.setattr(index, "load", lambda file: built)
    assert reading.page(path, 2000, 1).rows == [ROWS[2000]]


def test_a_changed_file_is_indexed_anew(home: Path) -> None:
    path = home / "c.jsonl"
    path.write_text(CONTENTS["c.jsonl"])
    index.build(path)
    path.write_text(CONTENTS["c.jsonl"] + '\n{"q": 1}\n')
    assert not index.load(path).done
    assert index.build(path).rows == 3001


def test_a_broken_row_ends_the_index_and_is_named(home: Path) -> None:
    path = home / "a.json"
    path.write_text(CONTENTS["a.json"].replace('"q": "Frage 1500', '"q": x'))
    built = index.build(path)
    assert (built.done, built.rows) == (False, 1500)
    with pytest.raises(DataError) as caught:
        reading.page(path, 1500, 1)
    assert caught.value.problems[0].code == "data_bad_json"


def test_a_folder_is_one_list_of_rows(home: Path) -> None:
    folder = home / "many"
    folder.mkdir()
    for number in range(30):
        part = ROWS[number * 100 : number * 100 + 100]
        (folder / f"{number:03}.jsonl").write_text("\n".join(map(json.dumps, part)))
    assert reading.page(folder, 95, 10).rows == ROWS[95:105]
    for part in reading.files(folder):
        index.build(part)
    page = reading.page(folder, 2899, 3)
    assert (page.rows, page.total) == (ROWS[2899:2902], 3000)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("name", ["a.json", "c.jsonl", "d.csv"])
def test_packed(home: Path, name: str, suffix: str, pack: Any) -> None:
    path = home / (name + suffix)
    content = pack(CONTENTS[name].encode())
    path.write_bytes(content)
    assert [row for _, row in reading.rows(path)] == ROWS
    index.build(path)
    assert reading.page(path, 2345, 2).rows == ROWS[2345:2347]
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        list(reading.rows(path))
    path.write_bytes(b"plain")
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    assert caught.value.problems[0].code == "file_compressed_broken"


def test_text(home: Path) -> None:
    path = home / "a.txt"
    path.write_text("one\r\n\n 两 \nlast", newline="")
    assert list(reading.rows(path)) == [
        (1, {"text": "one"}),
        (3, {"text": " 两 "}),
        (4, {"text": "last"}),
    ]


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow(home: Path, kind: str) -> None:
    import pyarrow

    table = pyarrow.Table.from_pylist(ROWS)
    path = home / "a.arrow"
    make = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    assert [row for _, row in reading.rows(path)] == ROWS
    assert reading.page(path, 1399, 3) == reading.Page(ROWS[1399:1402], 3000)
    path.write_bytes(b"ARROW1 and then nothing")
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    assert caught.value.problems[0].code == "arrow_broken"


def test_search(home: Path) -> None:
    path = home / "c.jsonl"
    path.write_text(CONTENTS["c.jsonl"])
    hits, onward = reading.search(path, "FRAGE 77", 0, 3, 10)
    assert [hit.number for hit in hits] == [77, 770, 771]
    hits, onward = reading.search(path, "frage 77", onward, 10, 10)
    assert ([hit.number for hit in hits], onward) == (list(range(772, 780)), -1)
    assert [hit.line for hit in hits] == [2 * hit.number + 1 for hit in hits], "blank lines count"


def test_the_index_is_made_by_a_child(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    monkeypatch.setattr(index, "LARGE", 1000)
    monkeypatch.setattr(index, "_children", [])
    path = home / "c.jsonl"
    path.write_text(CONTENTS["c.jsonl"])
    index.ensure([path])
    assert index._children[-1].wait(60) == 0
    assert index.load(path).rows == 3000
    index.ensure([path])
    assert index._children == []


BOMB = b"x" * 100_000
ENDLESS = b'{"q": "' + b"a" * 200_000 + b'"}\n'


def bombs() -> dict[str, bytes]:
    """Packed files that unpack to 30 MB: by their own word, without it, behind honest rows."""
    plain = zstandard.ZstdCompressor().compress(BOMB * 300)
    stream = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as writer:
        for _ in range(300):
            writer.write(BOMB)
    late = gzip.compress(b'{"q": "a"}\n' * 10) + gzip.compress(ENDLESS * 150)
    return {
        "announced.jsonl.zst": plain,
        "silent.jsonl.zst": stream.getvalue(),
        "a.jsonl.gz": gzip.compress(BOMB * 300),
        "a.json.gz": gzip.compress(b" " * 30_000_000),
        "late.jsonl.gz": late,
        "a.csv.gz": gzip.compress(b"q,a\n" + (BOMB + b",y\n") * 300),
    }


def test_what_unpacks_beyond_reason_is_refused_early(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 200 bytes for each packed one is no text (the densest gzip gives 1030, zstd
    30,000): refused after the first MB of them, where a zstd header says so before the first."""
    monkeypatch.setattr(refusals, "HONEST", 4 * 1024**2)  # instead of 64 MB
    read: list[int] = []
    unpacked = compressed._Bounded.readinto

    def counted(self: Any, target: Any) -> Any:
        count = unpacked(self, target)
        read.append(count)
        return count

    monkeypatch.setattr(compressed._Bounded, "readinto", counted)
    for name, content in bombs().items():
        (home / name).write_bytes(content)
        read.clear()
        with pytest.raises(DataError) as caught:
            deque(reading.rows(home / name), 0)
        assert caught.value.problems[0].code == "file_explodes", name
        assert sum(read) <= (0 if name.startswith("announced") else 7 * 1024**2), name
        report = check(Entry(name="x", path=home / name))
        assert [finding.problem.code for finding in report.findings.values()][-1] == "file_explodes"
        assert not report.complete


def test_dense_text_within_reason_is_read(home: Path) -> None:
    """The same row again and again: 20 MB at ratio 500, below what could do harm."""
    (home / "b.jsonl.gz").write_bytes(gzip.compress((b'{"q": "' + b"a" * 990 + b'"}\n') * 20_000))
    assert sum(1 for _ in reading.rows(home / "b.jsonl.gz")) == 20_000
