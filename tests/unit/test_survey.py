"""What a check says of a set as a whole: for which stage it is, columns that nobody reads, labels
of one side, one answer to everything, two answers to one question."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.contract.registry.dataset_info import Entry
from backend.datafiles import survey
from backend.datafiles.check import Checking, check
from backend.datafiles.detect import convert_row
from backend.datafiles.entering import propose_file

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    return tmp_path


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judge(home: Path, rows: list[Any], **entry: Any) -> dict[str, Any]:
    """What `tuneboard data check NAME --json` prints of these rows."""
    write(home / "data" / "x.jsonl", rows)
    (home / "data" / "dataset_info.json").write_text(
        json.dumps({"x": {"file_name": "x.jsonl", **entry}})
    )
    return check_printed(["x"])


def check_printed(words: list[str]) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("sys.stdout.write", lines.append)
        code = main(["data", "check", *words, "--json"])
    report: dict[str, Any] = json.loads("".join(lines))
    assert code == (0 if report["good"] else 3)
    return report


def findings(report: dict[str, Any]) -> dict[str, tuple[str, int, list[int]]]:
    return {
        finding["code"]: (finding["level"], finding["count"], finding["lines"])
        for finding in report["findings"]
    }


Q = [{"role": "user", "content": "q"}]
A = [{"role": "assistant", "content": "a"}]
CALL = {"name": "add", "arguments": "{}"}
ADD = {"name": "add", "parameters": {"type": "object", "properties": {}}}
CALLS = [
    {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": digits}}
    for digits in ('{"a": 1.50}', '{"a": 1.5}')
]
PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}
SHAREGPT = {"conversations": [{"from": "human", "value": "q"}]}
KTO = {"prompt": "prompt", "response": "response", "kto_tag": "t"}
STAGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"instruction": "q", "output": "a"}, {}, "sft"),
    ({"messages": Q + A}, {"formatting": "openai", "columns": {"messages": "messages"}}, "sft"),
    (PAIR, {}, "dpo"),
    (PAIR, {"ranking": True}, "dpo"),
    (PAIR, {"ranking": True, "columns": {name: name for name in PAIR}}, "dpo"),
    (
        {**SHAREGPT, "good": {"from": "gpt", "value": "a"}, "bad": {"from": "gpt", "value": "b"}},
        {
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "chosen": "good", "rejected": "bad"},
        },
        "dpo",
    ),
    ({"messages": Q + A, "label": True}, {}, "kto"),
    ({"prompt": "q", "response": "a", "t": 1}, {"columns": KTO}, "kto"),
    ({"text": "words"}, {}, "pt"),
    ({"words": "t"}, {"columns": {"prompt": "words"}}, "pt"),
    ({"prompt": "q"}, {}, "ppo"),
    ({"messages": [*Q, {**A[0], "content": None, "function_call": CALL}]}, {}, "sft"),
    ({"messages": [*Q, {**A[0], "function_call": CALL}], "functions": [ADD]}, {}, "sft"),
    ({"prompt": Q, "chosen": CALLS[0], "rejected": CALLS[1], "functions": [ADD]}, {}, "dpo"),
    ({"prompt": Q, "chosen": CALLS[:1], "rejected": CALLS[1:], "functions": [ADD]}, {}, "dpo"),
    ({"chosen": [*Q, CALLS[0]], "rejected": [*Q, CALLS[1]], "functions": [ADD]}, {}, "dpo"),
    ({"prompt": Q, "completion": CALLS[:1], "functions": [ADD]}, {}, "sft"),
    ({"prompt": "q", "chosen": CALLS[0], "rejected": CALLS[1], "functions": [ADD]}, {}, "dpo"),
    ({"instruction": "q", "output": "a", "functions": "of a word"}, {}, "sft"),
]  # fmt: skip


def test_the_stage_is_that_of_the_entry_or_of_the_first_rows(home: Path) -> None:
    seen = 0
    for row, entry, stage in STAGES:
        report = judge(home, [row, row], **entry)
        assert (report["stage"], report["usable"], report["good"]) == (stage, 2, True), (row, entry)
        seen += 1
    assert seen == 19
    for answer in ({"content": ""}, {"content": " "}, {"content": "", "tool_calls": []}):
        report = judge(home, [{"messages": [*Q, {**A[0], **answer}]}] * 3)
        assert (report["stage"], report["usable"]) == ("sft", 0), "answers are no prompts"
        assert list(findings(report)) == ["row_empty_answer"]
    write(home / "t.txt", ["words"])
    assert check_printed(["t.txt"])["stage"] == "pt"
    assert check_printed(["x", "--stage", "sft"])["stage"] == "sft"


def test_a_preference_of_older_calls_is_one_with_its_functions(home: Path) -> None:
    """It was registered as fit for ppo without its functions: 1.50 and 1.5 were taken for the same
    answer, though calls are learned with the digits of the row."""
    row = {"prompt": Q, "chosen": CALLS[0], "rejected": CALLS[1], "functions": [ADD]}
    write(home / "y.jsonl", [row])
    proposal, first = propose_file(home / "y.jsonl")
    assert (proposal.kind, proposal.entry["ranking"]) == ("preference", True)
    assert proposal.entry["columns"]["tools"] == "functions"
    conversation = convert_row(proposal.entry, first.rows[0], "dpo")
    assert conversation.tools == [{"type": "function", "function": ADD}]
    for entry in ({}, proposal.entry):
        by_code = findings(judge(home, [row], **entry))
        assert list(by_code) == ["row_older_calls"]
    row["rejected"] = CALLS[0]
    assert list(findings(judge(home, [row], ranking=True))) == ["row_same_answers"]


def test_columns_that_hold_data_and_are_not_read(home: Path) -> None:
    rows = [
        {"q": "1", "a": "x", "score": 0, "topic": "", "notes": None, "tags": [], "extra": {}},
        {"q": "2", "a": "y", "score": 3, "topic": "t", "notes": "n", "tags": ["z"], "extra": {}},
    ]
    report = judge(home, rows, columns={"prompt": "q", "response": "a"})
    assert findings(report) == {"columns_unread": ("notice", 2, [1, 2])}
    (finding,) = report["findings"]
    assert finding["params"]["columns"] == "score (2), topic (1), notes (1), tags (1)"
    assert report["good"]
    pair = {"prompt": "q", "response": "r", "chosen": "a", "rejected": "b"}
    for stage, unread in (("sft", "chosen (1), rejected (1)"), ("dpo", "response (1)")):
        write(home / "y.jsonl", [pair])
        (finding,) = check_printed(["y.jsonl", "--stage", stage])["findings"]
        assert finding["params"]["columns"] == unread


def test_columns_that_are_not_read_in_a_table(home: Path) -> None:
    table = pa.table({"instruction": ["q"], "output": ["a"], "when": [1.5], "none": pa.nulls(1)})
    pq.write_table(table, home / "x.parquet")
    (finding,) = check_printed(["x.parquet"])["findings"]
    assert (finding["code"], finding["params"]["columns"]) == ("columns_unread", "when (1)")


def kto(*rows: tuple[str, str, bool]) -> list[Any]:
    return [{"prompt": q, "completion": a, "label": label} for q, a, label in rows]


def dpo(*rows: tuple[str, str, str]) -> list[Any]:
    return [{"prompt": q, "chosen": c, "rejected": r} for q, c, r in rows]


def sft(*rows: tuple[str, str]) -> list[Any]:
    return [{"instruction": q, "output": a} for q, a in rows]


Q_B = [*Q, {"role": "assistant", "content": "b"}]
ALL = {"answers_constant": ("notice", 3, [1, 2, 3])}
MOST = {"answers_constant": ("notice", 19, [1, 2, 3, 4, 5])}
TWICE = {"answers_differ": ("notice", 2, [2, 3])}
NOTICES: list[tuple[list[Any], dict[str, tuple[str, int, list[int]]]]] = [
    (kto(("q", "a", True), ("p", "b", True)), {"labels_all_good": ("notice", 2, [1, 2])}),
    (kto(("q", "a", False), ("p", "b", False)), {"labels_all_bad": ("notice", 2, [1, 2])}),
    (kto(("q", "a", True), ("q", "b", False)), {}),
    (kto(("q", "a", True), ("q", "a", False)), {"labels_differ": ("notice", 1, [2])}),
    (dpo(("q", "a", "a"), ("p", "a", "b")), {"row_same_answers": ("refused", 1, [1])}),
    (dpo(("q", "a b", "a  b\n"), ("p", "c", "d")), {"pairs_alike": ("notice", 1, [1])}),
    (dpo(("q", "a", "b"), ("q", "b", "a")), {"pairs_differ": ("notice", 1, [2])}),
    (dpo(("q", "a", "b"), ("q", "a", "c"), ("q", "a", "b")), {}),
    (dpo(("q", "a", "b"), ("p", "a", "c"), ("r", "a", "d")), ALL),
    (sft(("q", "a"), ("p", "a"), ("r", "a")), ALL),
    (sft(*[(str(n), "a") for n in range(19)], ("x", "b")), MOST),
    (sft(*[(str(n), "ab"[n % 2]) for n in range(20)]), {}),
    (sft(("q", "a"), ("q", "a"), ("q", "a")), {}),
    (sft(("q", "a"), ("p", "b"), ("q", "c"), ("q", "a")), {"answers_differ": ("notice", 1, [3])}),
    ([{"question": "q", "answer": str(n)} for n in range(3)], TWICE),
    ([{"messages": Q + A}, {"messages": Q_B}], {"answers_differ": ("notice", 1, [2])}),
    ([{"messages": Q + A}, {"messages": Q + A + Q + A}], {}),
    ([{"text": "same"}, {"text": "same"}, {"text": "same"}], {}),
]  # fmt: skip


def test_what_stands_out_is_one_notice_each(home: Path) -> None:
    for rows, expected in NOTICES:
        report = judge(home, rows)
        assert findings(report) == expected, rows
        assert report["good"] == ("row_same_answers" not in expected)
        assert all(finding["text"] for finding in report["findings"])
    assert len(NOTICES) == 18


def test_memory_is_bounded_whatever_the_size(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new questions are not remembered, and known ones still are compared."""
    monkeypatch.setattr(survey, "MOST", 10)
    monkeypatch.setattr(survey, "SEVERAL", 10)
    rows = sft(*[(f"q{n}", f"a{n}") for n in range(50)], ("q3", "new"), ("q40", "new"))
    write(home / "x.jsonl", rows)
    noted = survey.Survey()
    report = check(Entry(name="x", path=home / "x.jsonl"), Checking("sft"))
    assert {finding.problem.code: finding.lines for finding in report.findings.values()} == {
        "answers_differ": [51]
    }
    assert len(report.survey._known) == len(report.survey._answers) == 10
    assert list(noted.remarks()) == []


def test_a_long_check_shows_how_far_it_is(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a log (no terminal) a line after a second, then one now and then; of a packed file by
    what is read of it on the disk. A short check says nothing."""
    write(home / "x.jsonl", sft(("q", "a")))
    assert main(["data", "check", "x.jsonl"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("backend.cli.data_sets.LINE_S", 0.0)
    monkeypatch.setattr("backend.cli.data_sets.SOON_S", 0.0)
    monkeypatch.setattr("backend.datafiles.check.TELL_S", -1.0)
    import gzip
    import random

    draw = random.Random(0)
    content = "".join(
        json.dumps(row) + "\n"
        for row in sft(*[(f"{n}", f"{draw.random()}" * 20) for n in range(5000)])
    )
    (home / "y.jsonl.gz").write_bytes(gzip.compress(content.encode()))
    (home / "y.jsonl").write_text(content)
    for name in ("y.jsonl", "y.jsonl.gz"):
        assert main(["data", "check", name]) == 0
        shares = [int(line.removesuffix("%")) for line in capsys.readouterr().err.splitlines()]
        assert shares == sorted(shares)
        assert (shares[-1], len({share for share in shares if 5 < share < 95}) >= 3) == (
            100,
            True,
        ), name
