"""Every row is judged as training judges it; what is wrong is counted with its lines."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from backend.contract.registry.dataset_info import Entry
from backend.datafiles.check import Checking, Report, check
from backend.datafiles.survey import FIRST

GOOD = {"instruction": "q", "output": "a"}


def check_file(tmp_path: Path, content: str | bytes, name: str = "a.jsonl", **how: Any) -> Report:
    path = tmp_path / name
    path.write_bytes(
        content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    )
    return check(Entry(name="a", path=path), Checking(**how))


def lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def summarize(report: Report) -> dict[str, tuple[str, int, list[int]]]:
    return {
        finding.problem.code: (finding.level, finding.count, finding.lines)
        for finding in report.findings.values()
    }


def test_rows_are_counted_over_all_files_and_lines_in_each(tmp_path: Path) -> None:
    """A row is known by its number in the set, as everywhere else; its line stands beside it."""
    bad = {"instruction": "q", "output": ""}
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jsonl").write_text(lines(GOOD, "", "{", bad))
    (folder / "b.jsonl").write_text(lines(GOOD, bad))
    report = check(Entry(name="a", path=folder), Checking())
    places = [
        (finding.problem.code, finding.rows, finding.lines) for finding in report.findings.values()
    ]
    assert places == [
        ("data_bad_json", [2], [3]),
        ("row_empty_answer", [3], [4]),
        ("row_empty_answer", [5], [2]),
    ]


def test_good_rows_are_good(tmp_path: Path) -> None:
    report = check_file(tmp_path, lines(GOOD, GOOD))
    assert (report.rows, report.usable, report.good, report.complete) == (2, 2, True, True)
    assert report.bytes == (tmp_path / "a.jsonl").stat().st_size


BAD = [
    ({"output": "a"}, "row_missing_key", "refused"),
    ({"instruction": "q"}, "row_without_answer", "stops"),
    ({"instruction": {"a": 7}, "output": "a"}, "row_wrong_type", "refused"),
    ({"instruction": ["q"], "output": "a"}, "row_wrong_type", "refused"),
    ({"instruction": "q", "output": " "}, "row_empty_answer", "refused"),
    ({"instruction": "\ud83d", "output": "a"}, "row_bad_text", "refused"),
    ({"instruction": "q", "output": "a", "tools": "{"}, "row_bad_tools", "refused"),
    ('{"instruction": "q", "output": NaN}', "data_nan", "stops"),
    ('{"instruction": "q", "output": 1e999}', "data_nan", "stops"),
    ('{"instruction": "q", "output": "a", "output": "b"}', "data_duplicate_key", "stops"),
    ('{"instruction": "q" "output": "a"}', "data_bad_json", "stops"),
    ("7", "row_no_object", "stops"),
    ('{"a": ' + "[" * 100_000, "data_bad_json", "stops"),
]


@pytest.mark.parametrize(("row", "code", "level"), BAD)
def test_each_class_is_counted_and_reading_goes_on(
    tmp_path: Path, row: Any, code: str, level: str
) -> None:
    report = check_file(tmp_path, lines(GOOD, row, GOOD, row, GOOD))
    assert summarize(report) == {code: (level, 2, [2, 4])}
    assert (report.rows, report.usable, report.good, report.complete) == (5, 3, False, True)
    for lang in ("en", "zh"):
        assert all(finding.to_problem().text(lang) for finding in report.findings.values())


@pytest.mark.parametrize(("row", "code", "level"), BAD)
def test_strict_stops_at_the_first(tmp_path: Path, row: Any, code: str, level: str) -> None:
    report = check_file(tmp_path, lines(GOOD, row, GOOD, row), strict=True)
    assert summarize(report) == {code: (level, 1, [2])}
    assert not report.complete


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (row, code)
        for row, code, _ in BAD
        if isinstance(row, dict) or code in {"data_nan", "data_duplicate_key", "row_no_object"}
    ],
)
def test_an_array_is_read_on_where_that_is_possible(tmp_path: Path, row: Any, code: str) -> None:
    text = row if isinstance(row, str) else json.dumps(row)
    good = json.dumps(GOOD)
    report = check_file(tmp_path, f"[{good},\n{text},\n{good}\n,{text}]", "a.json")
    assert {code: each[1:] for code, each in summarize(report).items()} == {code: (2, [2, 4])}
    assert (report.rows, report.usable, report.complete) == (4, 2, True)


def test_a_broken_array_says_that_there_is_no_way_on(tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    report = check_file(tmp_path, f'[{good},\n{good},\n{{"instruction" 1}},\n{good}]', "a.json")
    assert summarize(report) == {"data_bad_json": ("stops", 1, [3])}
    assert (report.usable, report.complete, report.good) == (2, False, False)
    problem = next(iter(report.findings.values())).problem
    assert (problem.params["column"], problem.params["text"]) == (16, '{"instruction" 1},')


def test_broken_json_is_named_with_column_and_text(tmp_path: Path) -> None:
    bad = '{"instruction": "q", "output": "\x1b[31m' + "x" * 500 + '"'
    report = check_file(tmp_path, lines(GOOD, bad))
    problem = next(iter(report.findings.values())).problem
    assert problem.params["line"] == 2
    assert len(str(problem.params["text"])) <= 201
    assert "\x1b" not in problem.text()


def test_only_the_first_lines_are_named(tmp_path: Path) -> None:
    report = check_file(tmp_path, lines(GOOD, *["{"] * 1000))
    assert summarize(report)["data_bad_json"] == ("stops", 1000, list(range(2, 2 + FIRST)))
    assert report.rows == 1001


@pytest.mark.parametrize(
    ("row", "code", "encoding"),
    [
        ('{"instruction": "中文数据", "output": "a"}'.encode("gbk"), "file_other_encoding", "GBK"),
        ('{"instruction": "é", "output": "a"}'.encode("latin-1"), "data_not_utf8", None),
    ],
)
def test_bad_encoding_is_counted_with_a_guess(
    tmp_path: Path, row: bytes, code: str, encoding: str | None
) -> None:
    good = json.dumps(GOOD).encode()
    report = check_file(tmp_path, b"\n".join([good, row, good, row]))
    assert summarize(report) == {code: ("stops", 2, [2, 4])}
    problem = next(iter(report.findings.values())).problem
    assert problem.params.get("encoding") == encoding
    assert problem.params["offset"] == len(good) + 1 + row.index(
        bytes([row[row.index(b': "') + 3]])
    )


CHAT = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([("gpt", "a"), ("human", "q")], "row_no_last_answer"),
        ([("human", "q"), ("observation", "a"), ("gpt", "a")], "row_roles"),
        ([("human", "q"), ("gpt", "a"), ("human", "q")], "row_no_last_answer"),
        ([("human", "q"), ("alien", "a")], "row_unknown_role"),
        ([("human", "q"), ("function_call", "{"), ("observation", "1")], "row_bad_tools"),
        ([], "row_no_messages"),
    ],
)
def test_conversations(tmp_path: Path, turns: list[Any], code: str) -> None:
    row = {"conversations": [{"from": who, "value": what} for who, what in turns]}
    assert summarize(check_file(tmp_path, lines(CHAT, row))) == {code: ("refused", 1, [2])}


def test_long_rows_are_a_notice(tmp_path: Path) -> None:
    report = check_file(tmp_path, lines(GOOD, {"instruction": "p", "output": "a" * 20}), long=20)
    assert summarize(report) == {"row_long": ("notice", 1, [2])}
    assert (report.good, report.longest, report.usable) == (True, 21, 2)


def test_csv_reads_on_after_a_line_with_too_many_cells(tmp_path: Path) -> None:
    text = 'instruction,output\nq,a\nq,a,b\n"q\nr",a\nq,\nq\n'
    report = check_file(tmp_path, text, "a.csv")
    assert summarize(report) == {
        "csv_cells": ("stops", 2, [3, 7]),
        "row_empty_answer": ("refused", 1, [6]),
    }
    assert (report.rows, report.usable) == (5, 2)


def test_wrong_columns_are_said_once(tmp_path: Path) -> None:
    report = check_file(tmp_path, lines(*[{"question": "q", "reply": "a"}] * 3))
    assert summarize(report) == {"columns_missing": ("stops", 1, [1])}
    assert (report.rows, report.usable) == (3, 0)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\n", b"[]"])
def test_nothing_is_not_good(tmp_path: Path, content: bytes) -> None:
    for name in ("a.json", "a.jsonl"):
        report = check_file(tmp_path, content, name)
        assert list(summarize(report)) == ["file_empty"]
        assert not report.good


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\0", b"PK\x03\x04", b"<html>", b"\xff\xfea\0"]
)
def test_foreign_files_are_named(tmp_path: Path, content: bytes) -> None:
    report = check_file(tmp_path, content)
    assert set(summarize(report)) <= {"file_foreign", "file_other_encoding"}
    assert not report.good
    assert not report.complete


def test_every_prefix_ends_in_rows_or_a_named_problem(tmp_path: Path) -> None:
    """D-02."""
    rows = [{"instruction": f"你好 {n}", "output": "answer 😀"} for n in range(8)]
    for name, whole in (
        ("a.json", json.dumps(rows, ensure_ascii=False).encode()),
        ("a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()),
    ):
        assert len(whole) >= 400
        for size in range(len(whole)):
            report = check_file(tmp_path, whole[:size], name)
            cut_between_rows = name == "a.jsonl" and report.usable == report.rows > 0
            assert report.good == cut_between_rows, size
            assert all(finding.to_problem().text() for finding in report.findings.values())


def test_progress_grows_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.datafiles.check.TELL_S", -1.0)
    shares: list[float] = []
    check_file(tmp_path, lines(*[GOOD] * 50), progress=shares.append)
    assert len(shares) == 51
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_parquet_and_its_nan(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{**GOOD, "score": math.nan}, {"instruction": "q", "output": None, "score": 1.0}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    report = check(Entry(name="a", path=tmp_path / "a.parquet"))
    assert summarize(report) == {
        "row_without_answer": ("stops", 1, [2]),
        "columns_unread": ("notice", 2, [1, 2]),
    }
    assert report.to_json()["usable"] == 1


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for n, content in enumerate((lines(GOOD), lines(GOOD, "{"), lines(GOOD, GOOD))):
        (tmp_path / f"{n}.jsonl").write_text(content)
    report = check(Entry(name="a", path=tmp_path))
    assert (report.rows, report.usable) == (5, 4)
    (finding,) = report.findings.values()
    assert str(finding.problem.params["file"]).endswith("1.jsonl")
