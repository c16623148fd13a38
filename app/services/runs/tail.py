"""The end of a log file, safe to show: bounded, without escape sequences, secrets masked.

The file on disk stays raw. The cost of reading does not depend on the length of the log.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.contract.base import boundary

TAIL_BYTES = 64 * 1024
SEARCH_BYTES = 1024 * 1024
MAX_LINES = 400
MAX_LINE = 2000
CUT = "[…]"
MASK = "••••••"
MIN_SECRET = 8  # shorter values would mask ordinary words

_ESCAPES = re.compile(
    r"""
      (?:\x1b\]|\x9d) [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c|(?=\n)|$)  # OSC: titles, links
    | (?:\x1b[PX^_]|[\x90\x98\x9e\x9f]) [^\x1b\x9c\n]* (?:\x1b\\|\x9c|(?=\n)|$)  # DCS, PM, APC
    | (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?                               # CSI: colours, cursor
    | \x1b [ -/]* [0-~]?                                                 # other escapes
    """,
    re.VERBOSE,
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but \t \n, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which reorder text
    "\ud800-\udfff]"  # surrogates
)
_BREAKS = re.compile("[\u2028\u2029]")
_SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD|PASSWD|LOGIN|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_SHAPE = re.compile(
    r"\b(?:hf_|sk-|ghp_|gho_|github_pat_|xox[bap]-|AKIA)[A-Za-z0-9_-]{12,}"
    r"|(?<=Bearer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=_TOKEN=)\S{4,}|(?<=_KEY=)\S{4,}|(?<=_SECRET=)\S{4,}|(?<=PASSWORD=)\S{4,}"
)


@dataclass(frozen=True)
class Stamp:
    """Identifies the state of a file: size in bytes, time of modification, inode."""

    size: int = -1
    changed: int = 0
    inode: int = 0


def stamp(path: Path) -> Stamp:
    """The stamp of a file now; a missing file has the default one."""
    try:
        info = path.stat()
    except OSError:
        return Stamp()
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ino)


def tail(path: Path, search: str = "") -> str:
    """The last lines as text; with `search` those that contain it (in any case), from further back.

    "" where there is no file. At most TAIL_BYTES (or SEARCH_BYTES) are read and MAX_LINES lines
    returned. All pages share one reading of an unchanged file.
    """
    return _tail(path, search.strip().lower(), stamp(path))


@lru_cache(maxsize=32)
def _tail(path: Path, search: str, now: Stamp) -> str:
    limit = SEARCH_BYTES if search else TAIL_BYTES
    lines = clean(_end(path, now.size, limit)).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if search:
        lines = [line for line in lines if search in line.lower()]
    return "\n".join(_short(line) for line in lines[-MAX_LINES:])


def _end(path: Path, size: int, limit: int) -> str:
    """The last `limit` bytes, from the first whole line on. A longer line loses its start."""
    start = max(0, size - limit)
    try:
        with open(path, "rb", opener=boundary.open_own) as file:
            file.seek(start)
            content = file.read(limit)
    except OSError:
        return ""
    if start == 0:
        return content.decode("utf-8", "replace")
    first, line_end, rest = content.partition(b"\n")
    if line_end and rest:
        return rest.decode("utf-8", "replace")
    return CUT + first.lstrip(bytes(range(0x80, 0xC0))).decode("utf-8", "replace")


def clean(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text without escape sequences, controls, direction marks and secrets.

    A line that was rewritten by carriage returns (a progress bar) keeps its last state. Of the
    control characters only \\n and \\t remain.
    """
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    text = _CONTROLS.sub("", _BREAKS.sub(" ", text))
    return mask(text, environ)


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    return states[-1] if states else ""


def _short(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]} {CUT} +{len(line) - MAX_LINE}"


def mask(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Mask secrets: values of environment variables named like one, and texts shaped like a key."""
    for value in secrets(os.environ if environ is None else environ):
        text = text.replace(value, MASK)
    return _SECRET_SHAPE.sub(MASK, text)


def secrets(environ: Mapping[str, str]) -> list[str]:
    """The values of HF_TOKEN, API_KEY and the like, longest first; of a login also the password."""
    values = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    values |= {
        value.partition(":")[2] for name, value in environ.items() if name.endswith("_LOGIN")
    }
    return sorted((value for value in values if len(value) >= MIN_SECRET), key=len, reverse=True)


def read_whole(path: Path) -> Iterator[str]:
    """The whole log for a download, cleaned line by line in bounded memory."""
    try:
        with open(path, "rb", opener=boundary.open_own) as file:
            while line := file.readline(SEARCH_BYTES):
                yield clean(line.decode("utf-8", "replace"))
    except OSError:
        return
