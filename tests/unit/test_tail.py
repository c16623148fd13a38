"""What of a log reaches the page (X-03, X-05, X-06, P8)."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.runs import tail as module
from app.services.runs.tail import MAX_LINES, TAIL_BYTES, Piece, read_since, read_whole
from backend.contract.texts.log_text import CUT, MASK, MAX_LINE, clean

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


def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    """Whole lines once; the last one, while it has no end, in place of the one before."""
    log = _log(tmp_path, b"one\ntwo\nthr")
    first = read_since(log)
    assert first is not None
    assert first == Piece("one\ntwo", "thr", first.cursor, anew=True)
    assert read_since(log, first.cursor) is None
    with log.open("ab") as file:
        file.write(b"ee\nfo")
    second = read_since(log, first.cursor)
    assert second is not None
    assert (second.text, second.rest, second.anew) == ("three", "fo", False)
    with log.open("ab") as file:
        file.write(b"\rfour\r")
    third = read_since(log, second.cursor)
    assert third is not None
    assert (third.text, third.rest) == ("", "four")


def test_a_log_that_was_written_anew_is_sent_anew(tmp_path: Path) -> None:
    """Of the same size or a longer one: what was before the cursor tells."""
    log = _log(tmp_path, b"one\ntwo\n")
    first = read_since(log)
    assert first is not None
    log.write_bytes(b"One\nTwo\nthree\n")
    second = read_since(log, first.cursor)
    assert second is not None
    assert (second.text, second.anew) == ("One\nTwo\nthree", True)
    for forged in ("0", "-1", "9-x", "99999999-00000000.3", "a" * 5000):
        piece = read_since(log, forged)
        assert piece is not None
        assert piece.anew


def test_a_log_that_grows_fast_is_not_sent_whole(tmp_path: Path) -> None:
    log = _log(tmp_path, b"begin\n")
    first = read_since(log)
    assert first is not None
    with log.open("ab") as file:
        file.write(b"".join(b"line %06d\n" % number for number in range(100_000)))
    second = read_since(log, first.cursor)
    assert second is not None
    assert second.text.endswith("line 099999")
    assert len(second.text) <= module.NEW_BYTES
    assert not second.anew


def test_a_bar_that_is_written_over_and_over_stays_short(tmp_path: Path) -> None:
    """A progress bar is one line without an end: its states are not read again and again."""
    log = _log(tmp_path, b"begin\n")
    piece = read_since(log)
    for step in range(400):
        assert piece is not None
        with log.open("ab") as file:
            file.write(b"%3d %% %s\r" % (step, b"#" * 80))
        piece = read_since(log, piece.cursor)
        assert piece is not None
        assert piece.rest.startswith(f"{step:3} %")
    assert piece is not None
    assert log.stat().st_size - int(piece.cursor.split("-")[0]) <= module.LONG_BYTES + 100


def test_a_search_takes_new_lines_as_it_took_the_old(tmp_path: Path) -> None:
    log = _log(tmp_path, b"Needle one\nhay\n")
    first = read_since(log, "", "needle")
    assert first is not None
    assert first.text == "Needle one"
    with log.open("ab") as file:
        file.write(b"hay\nneedle two\nhay")
    second = read_since(log, first.cursor, "needle")
    assert second is not None
    assert (second.text, second.rest) == ("needle two", "")


def tail(path: Path, search: str = "") -> str:
    """What a first look shows."""
    piece = read_since(path, "", search)
    assert piece is not None
    return "\n".join(part for part in (piece.text, piece.rest) if part)


def _log(folder: Path, content: bytes) -> Path:
    path = folder / "log.txt"
    path.write_bytes(content)
    return path
