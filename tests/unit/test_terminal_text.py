"""Names with control or direction characters are printed escaped."""

import json
from pathlib import Path

import pytest

from app.services.data import set_list
from backend.__main__ import main
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import columns, decimal_size, escape, one_line, wrap

HOSTILE = "a\x1b[31m\u202egnp\x9b2K\n\tb\u2066"
ESCAPED = "a\\u001b[31m\\u202egnp\\u009b2K\\n\\tb\\u2066"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / f"{HOSTILE}.jsonl").write_text('{"instruction": "\\u202eq", "output": "a"}\n')
    row = {HOSTILE: {"file_name": f"{HOSTILE}.jsonl"}, "lost": {"file_name": f"{HOSTILE}.csv"}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(row))
    return tmp_path


def test_only_what_cannot_be_seen_is_escaped() -> None:
    for text in ("plain\nlines\tof text", "中文 ü 👩\u200d👧 \u200c", "\u00a0"):
        assert escape(text) == text
    assert one_line(HOSTILE) == ESCAPED
    assert json.loads(f'"{escape(chr(0x202E) + chr(0x9B))}"') == "\u202e\x9b"


def test_a_number_of_bytes_has_one_writing() -> None:
    """The page, a full disk and an export each wrote the same file in another way: 0.05 GB beside
    50.0 MB beside 50 MB."""
    sizes = {0: "0 B", 999: "999 B", 1000: "1 kB", 13_015: "13 kB", 999_600: "1 MB"}
    sizes |= {538_093_056: "538 MB", 3_087_000_000: "3.09 GB", 5 * 10**12: "5 TB"}
    assert {size: decimal_size(size) for size in sizes} == sizes


def test_lines_break_where_a_language_breaks_them() -> None:
    """A line began with the full stop of the one before, and Korean broke inside its words."""
    lines = wrap("データセットを登録します。元のファイルは残ります。", 24)
    assert lines == ["データセットを登録しま", "す。元のファイルは残りま", "す。"]
    assert wrap("모델을 내려받은 폴더입니다", 20) == ["모델을 내려받은", "폴더입니다"]
    assert max(map(columns, lines)) <= 24


@pytest.mark.parametrize(
    "words",
    [
        ["data", "list"],
        ["data", "check", HOSTILE],
        ["data", "check", f"{HOSTILE}.jsonl"],
        ["data", "preview", f"{HOSTILE}.jsonl"],
        ["data", "preview", f"{HOSTILE}.jsonl", "--json"],
        ["data", "register", f"{HOSTILE}.jsonl"],
        ["data", "register", f"{HOSTILE}.nothing"],
        ["data", "remove", HOSTILE],
        ["train", "--dataset", HOSTILE],
        [HOSTILE],
    ],
)
def test_nothing_unseen_reaches_the_terminal(
    home: Path, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    main(words)
    told = capfd.readouterr()
    text = told.out + told.err
    assert text
    assert not set(text) & set("\x1b\x9b\u202e\u2066")
    assert "gnp\x9b2K\n\tb" not in text


def test_the_page_shows_and_finds_such_a_set(home: Path) -> None:
    sets = set_list.sets("data", "en")
    assert [each.title for each in sets] == [ESCAPED, "lost"]
    assert [each.name for each in sets] == [HOSTILE, "lost"]
    lost = Problem(code="data_file_missing", params={"file": HOSTILE})
    assert ESCAPED in lost.text()
