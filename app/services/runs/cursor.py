"""How far a browser has read a file that grows, as a short text that it sends back.

It holds the bytes that were read and a checksum of the last of them: a file that was written anew
meanwhile is told from one that has grown.
"""

import re
import zlib
from pathlib import Path

from backend.contract.base import boundary

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
