"""Files named .csv whose cells are separated by something else."""

import json
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.problems import DataError
from backend.datafiles import detect, index, reading, samples, separators, tables
from backend.datafiles.check import check
from backend.datafiles.text import Lines

ROWS = [
    ("Frage", "Antwort"),
    ("Wie viel?", "1,5"),
    ("A; B | C", 'sagt "ja"'),
    ("zwei\nZeilen", "x"),
]


def write_cells(mark: str, rows: list[tuple[str, ...]]) -> str:
    """As csv.writer would, but each cell quoted only where it must be."""

    def cell(text: str) -> str:
        quoted = any(mark_ in text for mark_ in (mark, '"', "\n"))
        return '"' + text.replace('"', '""') + '"' if quoted else text

    return "".join(mark.join(map(cell, row)) + "\r\n" for row in rows)


def read(path: Path) -> list[tuple[str, ...]]:
    rows = [row for _, row in reading.rows(path)]
    return [tuple(rows[0]), *(tuple(row.values()) for row in rows)]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_every_separator_is_recognized(tmp_path: Path, name: str) -> None:
    usual = separators.USUAL[name[1:]]
    for mark in separators.MARKS:
        for bom in (b"", b"\xef\xbb\xbf"):
            path = tmp_path / name
            path.write_bytes(bom + write_cells(mark, ROWS).encode())
            assert read(path) == ROWS, mark
            assert reading.page(path, 1, 1).rows == [dict(zip(ROWS[0], ROWS[2], strict=True))]
            report = check(
                Entry(name="x", path=path, columns={"prompt": "Frage", "response": "Antwort"})
            )
            problems = {
                finding.problem.code: finding.problem for finding in report.findings.values()
            }
            assert (report.good, report.usable) == (True, 3)
            assert ("csv_separator" in problems) == (mark != usual)
            if mark != usual:
                shown = {"\t": "\\t (tab)", "\x01": "\\x01 (Ctrl-A)"}.get(mark, mark)
                assert problems["csv_separator"].params["separator"] == shown


CASES = {
    # commas in a semicolon's header: most columns win where both fit all rows
    "id;Name, Vorname;Text\n1;Muster, Eva;a\n2;Beispiel, Jan;b\n": (";", 3),
    # the many rows decide, not the broken one
    "q,a\nx,y\nx,y\nx;y\nx,y\n": (",", 2),
    # one column: separators are text
    "text\nHello, world; or | all\nTwo, more\n": (separators.ALONE, 1),
    "text\n": (separators.ALONE, 1),
    # one column, quoted texts over lines
    'text\n"one, two\nlines"\nb\n': (separators.ALONE, 1),
    # Excel's own line says it
    "sep=;\nq;a,b\n1;2\n": (";", 2),
    "sep=|\nq|a\n1|2\n": ("|", 2),
    # quoted separators of another kind
    'q,a\n"x;y;z","a;b;c"\n"p;q;r",s\n': (",", 2),
    "q|a\n1,5|2,5\n": ("|", 2),
    # decimal commas, one on each line, are no second column
    "Frage;Wert\na;1,5\nb;2,5\n": (";", 2),
}


def test_odd_files(tmp_path: Path) -> None:
    for number, (content, (mark, columns)) in enumerate(CASES.items()):
        path = tmp_path / f"{number}.csv"
        path.write_text(content)
        separator = separators.find(path)
        assert (
            separator.mark,
            len(next(tables.csv_rows(Lines(path)), (0, 0, "x" * columns))[2]),
        ) == (
            mark,
            columns,
        ), content
    assert number == 9


SPACED = [
    ('"q" ; "a"\n"x; y" ; "1,5"\n"say ""hi""" ; "b"\n', ["x; y", "1,5", 'say "hi"', "b"]),
    ('"q", "a"\n"x, y", "1"\n"z", "b"\n', ["x, y", "1", "z", "b"]),
    ('q | a\n"x | y" | "1"\n"z" | "b | c"\n', ["x | y", "1", "z", "b | c"]),
    ('"q";  "a"\n"two\nlines";  "1"\n"z";  "b"\n', ["two\nlines", "1", "z", "b"]),
]
NOT_SPACED = [
    ("q, a\nx, y\nz, b\n", ["x", " y", "z", " b"]),
    ('q;a\nhe said; "no" twice\nx;y\nz;b\n', ["he said", ' "no" twice', "x", "y", "z", "b"]),
    ('q,a\n"she said, ""no""",x\n"he said, ""yes""",y\n', ['she said, "no"', "x"]),
]


def test_blanks_around_a_separator_do_not_make_quotes_text(tmp_path: Path) -> None:
    """Read by csv's own rule the cells were x, and \\"1,5\\" with its quotes."""
    path = tmp_path / "x.csv"
    for content, cells in SPACED + NOT_SPACED:
        path.write_text(content)
        rows = [row for _, row in reading.rows(path)]
        assert [cell for row in rows for cell in row.values()][: len(cells)] == cells, content
        spaced = (content, cells) in SPACED
        notice = separators.reason(path)
        assert (notice is not None and notice.code == "csv_spaced") == spaced
        if spaced:
            assert list(rows[0]) == ["q", "a"]
    assert len(SPACED + NOT_SPACED) == 7


DOUBTFUL = {
    "question:answer\nWhat is it?:A cat\nAnd this?:A dog\n": ":",
    "question::answer\nWhat is it?::A cat: grey\nAnd this?::A dog\n": "::",
    "question~answer\na~b\nc~d\n": "~",
    "question|||answer\na|||b\n": "",  # pipes, with columns that have no name
    "question => answer\na => b\n": "=>",
    "text\nNote: one\nNote: two\n": "",
    "note: things that came to my mind in the course of last year\na: b\nc: d\n": "",
    "A title: of a book\nNo more\nof it\nhere\n": "",
}


def test_what_looks_like_a_table_by_another_mark_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file was registered as plain text, 95 % sure."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    path = tmp_path / "x.csv"
    for content, mark in DOUBTFUL.items():
        path.write_text(content)
        assert separators.find(path).doubtful == mark, content
        if mark:
            assert main(["data", "register", "x.csv"]) == 3
            printed = capsys.readouterr()
            assert f"separated by {mark}, a character" in printed.out + printed.err
            registry = (tmp_path / "data" / "dataset_info.json").read_text()
            assert "x" not in json.loads(registry)
    assert len(DOUBTFUL) == 8
    path.write_text("question^answer\nWhat, then?^A cat\nb^c\n")
    assert main(["data", "register", "x.csv"]) == 0
    assert "separated by ^" in capsys.readouterr().out


def test_a_one_column_file_is_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('text\nHello, world\n"a\nb; c"\n')
    assert [row["text"] for _, row in reading.rows(tmp_path / "x.csv")] == [
        "Hello, world",
        "a\nb; c",
    ]
    proposal = detect.propose(samples.sample(tmp_path / "x.csv"))
    assert (proposal.kind, proposal.reasons[0].code) == ("text", "csv_one_column")


def test_columns_of_one_name_and_of_none(tmp_path: Path) -> None:
    """pandas 3.1 calls a column without a name "Unnamed: 0"; two of one name lose one unseen."""
    path = tmp_path / "x.csv"
    path.write_text(",q,a,\n0,x,y,\n")
    assert [row for _, row in reading.rows(path)] == [
        {"Unnamed: 0": "0", "q": "x", "a": "y", "Unnamed: 3": ""}
    ]
    path.write_text("q,a,a\nx,y,z\n")
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    assert (caught.value.problems[0].code, caught.value.problems[0].params["column"]) == (
        "csv_column_twice",
        "a",
    )


def test_a_quote_that_is_never_closed_takes_no_rows_unseen(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('q,a\nx,y\nx,"y\nz,w\nu,v\n')
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    assert (caught.value.problems[0].code, caught.value.problems[0].params["line"]) == (
        "csv_broken",
        3,
    )
    report = check(Entry(name="x", path=path, columns={"prompt": "q", "response": "a"}))
    assert [(finding.problem.code, finding.lines) for finding in report.findings.values()] == [
        ("csv_broken", [3])
    ]
    assert report.usable == 1


def test_line_ends_of_old_macs_are_named(tmp_path: Path) -> None:
    """Excel's "CSV (Macintosh)": the reason was Python's own, about a mode to open files in."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"question,answer\rq1,a1\rq2,a2\r")
    with pytest.raises(DataError) as refused:
        list(reading.rows(path))
    assert [problem.code for problem in refused.value.problems] == ["csv_line_ends"]


def test_the_advice_about_quotes_names_the_files_own_separator(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("q;a\nx;y\nx;y\nx;y;z\n")
    with pytest.raises(DataError) as caught:
        list(reading.rows(path))
    (problem,) = caught.value.problems
    assert (problem.code, problem.params["separator"], problem.params["line"]) == (
        "csv_cells",
        ";",
        4,
    )
    assert "comma" not in problem.text()


def test_register_says_why_and_a_far_row_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    path = tmp_path / "x.csv"
    path.write_text("sep=;\nquestion;answer\n" + "".join(f"q{n};1,{n}\n" for n in range(2500)))
    assert main(["data", "register", "x.csv", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert "separated by ;" in row["reasons"][0]
    assert [message["content"] for message in row["example"]["messages"]] == ["q0", "1,0"]
    monkeypatch.setattr(index, "LARGE", 1)
    index.build(path)
    assert reading.page(path, 2400, 1).rows == [{"question": "q2400", "answer": "1,2400"}]
