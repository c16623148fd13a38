"""Names and paths that people give to what is written: refused where they could surprise anyone.

A name becomes one folder or file under saves/; it must mean the same on every system, in a shell,
in a list of adapters (joined by commas) and on a screen.
"""

import re
from pathlib import Path

from backend.contract.base.problems import Problem

MAX_NAME = 128  # bytes of UTF-8
MAX_PART = 255  # bytes, what Linux and macOS file systems take
MAX_PATH = 4096
FORBIDDEN = '/\\:*?"<>|$%,'
RESERVED = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)
}


def check_name(name: str) -> Problem | None:
    """What is wrong with the name of a run or of a set of arguments, or None."""
    if not name.strip():
        return Problem(code="name_empty")
    if _size(name) > MAX_NAME:
        return Problem(code="name_too_long", params={"limit": MAX_NAME})
    found = _hidden(name) or next((mark for mark in name if mark in FORBIDDEN), "")
    if found:
        return Problem(code="name_character", params={"character": _shown(found)})
    if name[0] in "-.~ " or name[-1] in ". " or name != name.strip():
        return Problem(code="name_edge", params={"name": name})
    if name.split(".")[0].strip().upper() in RESERVED:
        return Problem(code="name_reserved", params={"name": name})
    return None


def check_output_dir(path: str) -> Problem | None:
    """What is wrong with a path given for output, or None; any place is allowed, not any text."""
    if not path.strip():
        return Problem(code="name_empty", field="output_dir")
    found = _hidden(path)
    if found:
        params = {"character": _shown(found)}
        return Problem(code="name_character", field="output_dir", params=params)
    if _size(path) > MAX_PATH or any(_size(part) > MAX_PART for part in Path(path).parts):
        return Problem(code="name_too_long", field="output_dir", params={"limit": MAX_PART})
    return None


def plain(name: str) -> str:
    """The last part of a path or hub id, as a name that check_name takes."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    kept = re.sub(r"[^\w.+=@-]+", "-", last).strip("-. ")
    short = kept.encode()[:MAX_NAME].decode(errors="ignore").strip("-. ")
    return "model" if check_name(short) else short


def _hidden(text: str) -> str:
    """The first control, direction mark, half of a character or blank that is not a plain one."""
    return next((mark for mark in text if not mark.isprintable()), "")


def _shown(mark: str) -> str:
    return mark if mark.isprintable() else f"U+{ord(mark):04X}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
