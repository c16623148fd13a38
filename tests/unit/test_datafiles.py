"""Data files are read piece by piece; what is wrong with one is named with its place (D-01..05)."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.contract.registry.dataset_info import SUFFIXES, Entry, kind
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import arrays, reading, separators
from backend.datafiles.check import Checking, check

ROWS: list[dict[str, Any]] = [
    {"instruction": "问 \u2028 😀", "output": 'a "b", c'},
    {"instruction": "two\nlines", "output": ""},
    {"instruction": "x" * 70_000, "output": "end"},
]
TEXTS = [{"a": "1", "b": "x, y"}, {"a": "多\n行", "b": ""}]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def problem(path: Path) -> Problem:
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    problem_ = caught.value.problems[0]
    assert path.name in problem_.text("en")
    assert path.name in problem_.text("zh")
    return problem_


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps(ROWS, ensure_ascii=False, indent=2)),
        ("a.json", "\ufeff \n" + json.dumps(ROWS, ensure_ascii=False)),
        ("a.json", lines(ROWS)),
        ("a.jsonl", lines(ROWS) + "\n"),
        ("a.jsonl", "\ufeff" + lines(ROWS).replace("\n", "\r\n\r\n")),
        ("a.JSONL", json.dumps(ROWS)),
    ],
)
def test_json_in_its_forms(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path, name, content)
    assert [row for _, row in reading.rows(path)] == ROWS
    assert reading.page(path, 1, 1) == reading.Page(ROWS[1:2], 3)


@pytest.mark.parametrize("window", [1, 2, 7, 64])
def test_an_array_is_the_same_through_any_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    rows = [{"a": 'é😀\\u00e9"', "n": [1.5e-3, -12, True, None]}, {"b": {"c": "\n"}}]
    path = write(tmp_path, "a.json", "\ufeff" + json.dumps(rows, ensure_ascii=False, indent=1))
    monkeypatch.setattr(arrays, "WINDOW", window)
    assert [row for _, row in reading.rows(path)] == rows
    assert [line for line, _ in reading.rows(path)] == [2, 11]


def test_csv(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", '\ufeffa,b\r\n1,"x, y"\r\n"多\n行",\r\n\r\n')
    assert list(reading.rows(path)) == [(2, TEXTS[0]), (3, TEXTS[1])]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [{"n": index} for index in range(1000)]
    table = pyarrow.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    assert [row for _, row in reading.rows(tmp_path / "a.parquet")] == rows
    assert reading.page(tmp_path / "a.parquet", 599, 3) == reading.Page(rows[599:602], 1000)
    assert reading.page(tmp_path / "a.parquet", 2000, 3).rows == []
    assert problem(write(tmp_path, "b.parquet", b"PAR1 and then nonsense")).code == "parquet_broken"


def test_a_folder_of_one_type(tmp_path: Path) -> None:
    write(tmp_path, "many/b.jsonl", '{"n": 2}\n{"n": 3}')
    write(tmp_path, "many/a.jsonl", '{"n": 1}')
    write(tmp_path, "many/README.md", "x")
    assert [row["n"] for _, row in reading.rows(tmp_path / "many")] == [1, 2, 3]
    assert reading.page(tmp_path / "many", 1, 5) == reading.Page([{"n": 2}, {"n": 3}], 3)
    write(tmp_path, "many/c.csv", "n\n4")
    assert problem(tmp_path / "many").code == "folder_mixed"
    assert problem(write(tmp_path, "none/x.md", "").parent).code == "folder_without_data"


@pytest.mark.parametrize("at", [1, 500, 1000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_broken_line_is_named(tmp_path: Path, name: str, at: int) -> None:
    rows = [json.dumps({"instruction": f"q{n}", "output": "a"}) for n in range(1, 1001)]
    rows[at - 1] = '{"instruction": "q" "output": "a"}'
    content = "\n".join(rows) if name == "a.jsonl" else "[" + ",\n".join(rows) + "]"
    error = problem(write(tmp_path, name, content))
    assert (error.code, error.params["line"]) == ("data_bad_json", at)
    assert error.params["column"] == 21 + (name == "a.json" and at == 1)
    assert '"q" "output"' in error.text()


def test_the_line_is_escaped_and_cut(tmp_path: Path) -> None:
    error = problem(write(tmp_path, "a.jsonl", '{"a": "\x1b[31m' + "x" * 5000))
    assert len(str(error.params["text"])) <= 201
    assert "\\x1b" in str(error.params["text"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("a.json", content) for content in (b"", b"\xef\xbb\xbf", b" \n\t\n", b"[]", b"[ \n]")),
        *(("a.jsonl", content) for content in (b"", b"\xef\xbb\xbf", b" \n\t\n", b"[]")),
        *(("a.csv", content) for content in (b"", b"\xef\xbb\xbf", b" \n\t\n", b"a,b\n")),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert problem(write(tmp_path, name, content)).code == "file_empty"


def test_every_prefix_of_a_file_is_whole_rows_or_an_error(tmp_path: Path) -> None:
    whole = json.dumps([{"instruction": "héllo", "output": "1"}] * 6, ensure_ascii=False).encode()
    for size in range(len(whole)):
        error = problem(write(tmp_path, "a.json", whole[:size]))
        codes = {"file_empty", "data_truncated", "data_bad_json", "data_not_utf8"}
        assert error.code in codes, (size, error)


@pytest.mark.parametrize(
    ("content", "code", "offset"),
    [
        (b'{"a": "ok"}\n{"a": "\xb4"}', "data_not_utf8", 19),
        ('{"a": "中文数据"}'.encode("gbk"), "file_other_encoding", 7),
        ('{"a": "x"}'.encode("utf-16"), "file_other_encoding", 0),
        ('{"a": "x"}'.encode("utf-16-le"), "file_other_encoding", 1),
        ('[{"a": "é"}]'.encode("latin-1"), "data_not_utf8", 8),
        (b"\xef\xbb\xbf" + b'[{"a": "' + b"x" * 100_000 + b'\xff"}]', "data_not_utf8", 100_011),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, code: str, offset: int) -> None:
    error = problem(write(tmp_path, "a.json", content))
    assert (error.code, error.params["offset"]) == (code, offset)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b'{"a": NaN}', "data_nan", 1),
        (b'[{"a": 1},\n{"a": -Infinity}]', "data_nan", 2),
        (b'{"a": 1}\n{"a": 1e999}', "data_nan", 2),
        (b'[{"a": 1},\n{"a": -1e999}]', "data_nan", 2),
        (b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}', "data_duplicate_key", 2),
        (b'[{"a": 1},\n{"a": {"b": 1, "b": 1}}]', "data_duplicate_key", 2),
        (b'{"a": 1}\n7', "row_no_object", 2),
        (b'[{"a": 1},\n"x"]', "row_no_object", 2),
        (b"null", "row_no_object", 1),
        (b'{\n  "a": 1\n}', "file_one_object", None),
        (b'[{"a": 1}] x', "data_bad_json", 1),
        (b'[{"a": 1}\n{"a": 2}]', "data_bad_json", 2),
        (b"[" * 200_000, "data_bad_json", 1),
        (b'{"a": ' + b"9" * 5000 + b"}", "data_bad_json", 1),
        (b'{"a": ' + b"[" * 200_000, "data_bad_json", 1),
        (b"hello", "data_bad_json", 1),
        (b"\x89PNG\r\n\x1a\n\0\0", "file_foreign", None),
        (b"PK\x03\x04\x14\0", "file_foreign", None),
        (b"<!DOCTYPE html><html>", "file_foreign", None),
        (b'{"a": "\0\0"}', "file_foreign", None),
    ],
)
def test_what_is_no_list_of_rows(
    tmp_path: Path, content: bytes, code: str, line: int | None
) -> None:
    error = problem(write(tmp_path, "a.json", content))
    assert error.code == code
    assert line is None or error.params["line"] == line


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_a_pointer_of_git_lfs_is_no_data_in_any_format(tmp_path: Path) -> None:
    """The pointer's text is that of Git LFS's docs/spec.md (3.x). As .csv and .txt it was taken for
    a training text, as .parquet and .gz it was a broken file."""
    forms = [form + packed for form in SUFFIXES for packed in ("", ".gz", ".zst")]
    forms = [form for form in forms if kind(f"a{form}") in SUFFIXES]
    for form in forms:
        path = write(tmp_path, f"a{form}", POINTER)
        assert problem(path).code == "file_pointer", form
        report = check(Entry(name="a", path=path), Checking("pt"))
        assert [code for code, _ in report.findings] == ["file_pointer"], form
    assert len(forms) >= 7
    about = write(tmp_path, "b.txt", b"The file began with " + POINTER)
    assert len(list(reading.rows(about))) == 3


def test_csv_mistakes(tmp_path: Path) -> None:
    error = problem(write(tmp_path, "a.csv", "a,b\n1,2\n1,2,3\n"))
    assert (error.code, error.params["line"]) == ("csv_cells", 3)
    assert problem(write(tmp_path, "b.csv", b"PK\x03\x04\x14\0")).code == "file_foreign"
    assert problem(write(tmp_path, "c.doc", "a")).code == "file_type"
    assert problem(tmp_path / "gone.json").code == "data_file_missing"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_the_first_page_of_a_huge_file_reads_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A sparse file of 4 GB: reading on would hit its zeros (and take minutes)."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    row = json.dumps({"instruction": "q", "output": "a" * 1000})
    part = (row + ("\n" if name == "a.jsonl" else ",\n")) * 200
    path = write(tmp_path, name, part if name == "a.jsonl" else "[" + part)
    with path.open("r+b") as file:
        file.truncate(4 * 1024**3)
    page = reading.page(path, 20, 5)
    assert (page.rows, page.total) == ([json.loads(row)] * 5, None)


def test_a_large_row_is_read(tmp_path: Path) -> None:
    rows = [{"a": "y" * 5_000_000}, {"a": "z"}]
    for name, content in (("a.json", json.dumps(rows)), ("a.jsonl", lines(rows))):
        assert [row for _, row in reading.rows(write(tmp_path, name, content))] == rows


def test_the_records_under_a_line_that_names_the_separator_are_counted(tmp_path: Path) -> None:
    """The notice said that the mark was taken "for so 0 of the first 0 lines" are divided."""
    notice = separators.reason(write(tmp_path, "a.csv", "sep=;\na;b\n1;2\n3;4\n"))
    assert notice is not None
    assert (notice.params["fitting"], notice.params["records"], notice.params["columns"]) == (
        3,
        3,
        2,
    )
