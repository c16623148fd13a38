"""What of a log reaches the page (X-03, X-05, X-06, P8)."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.runs import tail as module
from app.services.runs.tail import (
    CUT,
    MASK,
    MAX_LINE,
    MAX_LINES,
    TAIL_BYTES,
    clean,
    read_whole,
    tail,
)

TABLE = [
    ("plain\ttext\n", "plain\ttext\n"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b[2J\x1b[Hcleared", "cleared"),
    ("\x1b[?25lhidden cursor\x1b[?25h", "hidden cursor"),
    ("\x1b[38;5;196mcolour", "colour"),
    ("\x1b]8;;http://evil/\x07link\x1b]8;;\x07", "link"),
    ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1b]52;c;ZXZpbA==\x07after", "after"),
    ("\x1b]0;title never ended\nnext", "\nnext"),
    ("\x1bP1$r0m\x1b\\after", "after"),
    ("\x9b31mred\x9b0m", "red"),
    ("\x9d0;title\x9cafter", "after"),
    ("\x1b(Bcharset", "charset"),
    ("ring\x07 back\x08space\x00nul\x7f", "ring backspacenul"),
    (" 10%|#\r 50%|###\r100%|######\n", "100%|######\n"),
    (" 10%|#\r 50%|###\r", " 50%|###"),
    ("windows\r\nlines\r\n", "windows\nlines\n"),
    ("\x1b[A\r 3/8\x1b[K\r 4/8\x1b[K", " 4/8"),
    ("safe \u202egnp.exe\u202c \u2066x\u2069\u200f", "safe gnp.exe x"),
    ("one\u2028two\u2029three", "one two three"),
    ("\x1b", ""),
    ("\x1b[", ""),
    ("颜色\x1b[1m中文", "颜色中文"),
]


@pytest.mark.parametrize(("raw", "shown"), TABLE)
def test_clean(raw: str, shown: str) -> None:
    assert clean(raw, {}) == shown


PIECES = st.sampled_from(
    [
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x9b",
        "\x9d",
        "\x9c",
        "\x07",
        "\r",
        "\n",
        "\t",
        "\u202e",
        "m",
        "8;;",
        "\\",
        "\x85",
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=30).map("".join))
def test_no_control_is_left(text: str) -> None:
    shown = clean(text, {})
    assert not [
        mark
        for mark in shown
        if (ord(mark) < 0x20 and mark not in "\n\t")
        or 0x7F <= ord(mark) <= 0x9F
        or mark
        in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    ]
    assert clean(shown, {}) == shown


@given(st.binary(max_size=300))
def test_any_bytes_can_be_shown(content: bytes) -> None:
    clean(content.decode("utf-8", "replace"), {}).encode("utf-8")


def test_invalid_utf8_is_replaced(tmp_path: Path) -> None:
    log = _log(tmp_path, b"good \xff\xfe\x00 text\n")
    assert tail(log) == "good \ufffd\ufffd text"


def test_only_the_end_of_a_long_log(tmp_path: Path) -> None:
    log = _log(tmp_path, b"".join(b"line %d\n" % number for number in range(100_000)))
    lines = tail(log).split("\n")
    assert len(lines) == MAX_LINES
    assert lines[-1] == "line 99999"
    assert lines[0] == f"line {100_000 - MAX_LINES}"


def test_a_line_of_ten_megabytes_is_cut(tmp_path: Path) -> None:
    log = _log(tmp_path, b"x" * 10_000_000 + b"\n" + b"y" * 5000 + b"\nend\n")
    start = time.process_time()
    first, last = tail(log).split("\n")
    assert time.process_time() - start < 0.2
    assert len(first) < MAX_LINE + 20
    assert CUT in first
    assert last == "end"
    log.write_bytes("中".encode() * (TAIL_BYTES // 2))
    assert tail(log).startswith(CUT + "中")
    assert "\ufffd" not in tail(log)


def test_a_growing_log_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert tail(log) == ""
    for number in range(3):
        with log.open("a") as file:
            file.write(f"{number}\n")
        assert tail(log).endswith(str(number))


def test_search_reaches_further_back_than_the_tail(tmp_path: Path) -> None:
    log = _log(tmp_path, b"The \x1b[1mNeedle\x1b[0m\n" + b"hay\n" * 30_000 + b"needle again\n")
    assert "The" not in tail(log)
    assert tail(log, " nEEdle ") == "The Needle\nneedle again"
    assert tail(log, "absent") == ""


def test_secrets_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "correct-horse-battery")
    monkeypatch.setenv("TUNEBOARD_LOGIN", "anna:a-long-password")
    monkeypatch.setenv("SHORT_TOKEN", "on")
    log = _log(
        tmp_path,
        b"key correct-horse-\x1b[1mbattery on\nlogin a-long-password\n"
        b"hf_abcdefghijklmnopqrstuvwxyz MY_API_KEY=letmein Authorization: Bearer abc.def-123\n",
    )
    shown = tail(log)
    assert shown.split("\n")[0] == f"key {MASK} on"
    for secret in ("battery", "a-long", "hf_", "letmein", "abc.def"):
        assert secret not in shown
    assert "".join(read_whole(log)).rstrip("\n") == shown


def test_an_unchanged_log_is_read_once_for_all_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _log(tmp_path, b"text\n")
    reads = []
    original = module._end
    monkeypatch.setattr(module, "_end", lambda *args: reads.append(1) or original(*args))
    assert {tail(log) for _ in range(50)} == {"text"}
    assert len(reads) == 1


def _log(folder: Path, content: bytes) -> Path:
    path = folder / "log.txt"
    path.write_bytes(content)
    return path
