"""The end of a log file, safe to show, and how far a browser has read a file that grows.

What is shown is bounded, without escape sequences, and secrets are masked; the file on disk stays
raw. The cost of reading does not depend on the length of the log.

A browser sends back a short text: the bytes that were read and a checksum of the last of them. So a
file that was written anew meanwhile is told from one that has grown.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.contract.system import boundary
from backend.contract.texts.log_text import CUT, clean, shorten

CHECK_BYTES = 64
FORM = re.compile(r"(\d{1,15})-([0-9a-f]{8})")


def make_cursor(file: Path, offset: int) -> str:
    """The cursor of whoever has read `offset` bytes of a file."""
    return f"{offset}-{zlib.crc32(read_before(file, offset)):08x}"


def read_cursor(file: Path, text: str) -> int | None:
    """The bytes that a cursor says were read; None where it is of another file, or of none."""
    match = FORM.fullmatch(text)
    if match is None:
        return None
    offset = int(match[1])
    if len(read_before(file, offset)) < min(offset, CHECK_BYTES):  # the file has become shorter
        return None
    return offset if make_cursor(file, offset) == text else None


def read_before(file: Path, offset: int) -> bytes:
    """The last bytes before `offset`; none where the file is not there."""
    try:
        with open(file, "rb", opener=boundary.open_own) as content:
            content.seek(max(0, offset - CHECK_BYTES))
            return content.read(min(offset, CHECK_BYTES))
    except OSError:
        return b""


TAIL_BYTES = 64 * 1024
SEARCH_BYTES = 1024 * 1024
NEW_BYTES = 8 * 1024
LONG_BYTES = 2 * 1024
MAX_LINES = 400


@dataclass(frozen=True)
class Piece:
    """A new piece of a log.

    text    new whole lines; with `anew` the last ones, in place of all that was there
    rest    the last line while it has no end yet, in place of the one before
    cursor  what to ask for the next piece with
    """

    text: str
    rest: str
    cursor: str
    anew: bool


def read_since(path: Path, known: str = "", search: str = "") -> Piece | None:
    """The new piece of a log after the cursor `known`; None where nothing is new.

    The first piece is the end of the log: no more than TAIL_BYTES of it, with `search` the lines
    of SEARCH_BYTES that contain it (any case). A later one takes no more than NEW_BYTES.
    """
    place, _, seen = known.partition(".")
    size, offset = _size(path), read_cursor(path, place)
    if offset is not None and seen == str(size):
        return None
    anew, search = offset is None, search.strip().lower()
    limit = (SEARCH_BYTES if search else TAIL_BYTES) if anew else NEW_BYTES
    start = max(offset or 0, size - limit)
    content = _read(path, start, size - start)
    done = content.rfind(b"\n") + 1
    end = start + done + _count_overwritten(content[done:])
    if start > (offset or 0):
        content = _drop_torn_line(content)
        done = content.rfind(b"\n") + 1
    text, rest = (_make_presentable(part, search) for part in (content[:done], content[done:]))
    return Piece(text, rest, f"{make_cursor(path, end)}.{size}", anew)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, start: int, size: int) -> bytes:
    try:
        with open(path, "rb", opener=boundary.open_own) as file:
            file.seek(start)
            return file.read(max(0, size))
    except OSError:
        return b""


def _count_overwritten(rest: bytes) -> int:
    """The bytes of a long unfinished line that its last state has overwritten."""
    return rest.rstrip(b"\r ").rfind(b"\r") + 1 if len(rest) > LONG_BYTES else 0


def _drop_torn_line(content: bytes) -> bytes:
    """The content from its first whole line on. A longer line loses its start."""
    first, end, following = content.partition(b"\n")
    if following:
        return following
    return CUT.encode() + first.lstrip(bytes(range(0x80, 0xC0))) + end


def _make_presentable(content: bytes, search: str) -> str:
    """The last lines, cleaned for display; with `search` only those that contain it."""
    lines = clean(content.decode("utf-8", "replace")).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if search:
        lines = [line for line in lines if search in line.lower()]
    return "\n".join(shorten(line) for line in lines[-MAX_LINES:])


def read_whole(path: Path) -> Iterator[str]:
    """The whole log for a download, cleaned line by line in bounded memory."""
    try:
        with open(path, "rb", opener=boundary.open_own) as file:
            while line := file.readline(SEARCH_BYTES):
                yield clean(line.decode("utf-8", "replace"))
    except OSError:
        return
