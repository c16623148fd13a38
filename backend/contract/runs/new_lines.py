"""New lines of a file that grows, such as the log or the metrics of a run, from a byte offset."""

import os
from dataclasses import dataclass
from pathlib import Path

from backend.contract.system import boundary

CHUNK = 64 * 1024  # bytes that one call reads at most
LAST = -1  # as an offset: the last lines


@dataclass(frozen=True, kw_only=True)
class NewLines:
    """Lines of a file without their ends.

    offset  of the byte after them, to go on from
    more    whether the file has further whole lines
    anew    whether the file is shorter than the offset was, and so was read from its start
    """

    lines: list[bytes]
    offset: int
    more: bool = False
    anew: bool = False


def read_lines(file: Path, offset: int, limit: int, *, ended: bool) -> NewLines:
    """At most `limit` lines of a file from `offset` (bytes) on, or with LAST its last ones.

    A last line without an end is left for the next time unless the writer has `ended`; one that is
    longer than CHUNK is read in parts. A file that is missing has no lines yet.
    """
    try:
        with open(file, "rb", opener=boundary.open_own) as stream:
            size = os.fstat(stream.fileno()).st_size
            anew = offset > size
            if offset == LAST:
                return _read_last(stream.fileno(), size, limit, ended=ended)
            start = 0 if anew else offset
            content = os.pread(stream.fileno(), CHUNK, start)
    except OSError:
        return NewLines(lines=[], offset=0, anew=offset > 0)
    at_end = start + len(content) >= size
    whole = content[: _whole(content, ended=ended and at_end)]
    if not whole and len(content) == CHUNK:
        whole = content
    lines = _split(whole)
    taken = lines[:limit]
    end = start + sum(map(len, taken))
    more = len(taken) < len(lines) or not at_end
    return NewLines(lines=_bare(taken), offset=end, more=more, anew=anew)


def _read_last(handle: int, size: int, limit: int, *, ended: bool) -> NewLines:
    start = max(0, size - CHUNK)
    content = os.pread(handle, CHUNK, start)
    end = _whole(content, ended=ended)
    lines = _split(content[:end])
    if start and len(lines) > 1:
        del lines[0]  # its start is missing
    return NewLines(lines=_bare(lines[-limit:]), offset=start + end)


def _whole(content: bytes, *, ended: bool) -> int:
    """The bytes up to the last end of a line; all of them where no more will be written."""
    return len(content) if ended else content.rfind(b"\n") + 1


def _split(content: bytes) -> list[bytes]:
    """The lines with their ends; a carriage return, as of a progress bar, ends none."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _bare(lines: list[bytes]) -> list[bytes]:
    return [line.removesuffix(b"\n") for line in lines]
