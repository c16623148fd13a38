"""Check the names and paths that people choose for runs and results.

A name becomes one folder or file under saves/; it must mean the same on every system, in a shell,
in a list of adapters (joined by commas) and on a screen.
"""

import re
from pathlib import Path

from backend.contract.texts.problems import Problem

MAX_NAME = 128  # bytes of UTF-8
MAX_PART = 255  # bytes, what Linux and macOS file systems take
MAX_PATH = 4096
FORBIDDEN = '/\\:*?"<>|$%,'
RESERVED = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)
}


def check_name(name: str) -> Problem | None:
    """The problem of a name for a run or a set of arguments, or None."""
    if not name.strip():
        return Problem(code="name_empty")
    if _size(name) > MAX_NAME:
        return Problem(code="name_too_long", params={"limit": MAX_NAME})
    character = _first_unprintable(name) or next((mark for mark in name if mark in FORBIDDEN), "")
    if character:
        return Problem(code="name_character", params={"character": _describe(character)})
    if name[0] in "-.~ " or name[-1] in ". " or name != name.strip():
        return Problem(code="name_edge", params={"name": name})
    if name.split(".")[0].strip().upper() in RESERVED:
        return Problem(code="name_reserved", params={"name": name})
    return None


def check_output_dir(path: str) -> Problem | None:
    """The problem of a path for output, or None. Any place is allowed, but not any characters."""
    if not path.strip():
        return Problem(code="name_empty", field="output_dir")
    character = _first_unprintable(path)
    if character:
        params = {"character": _describe(character)}
        return Problem(code="name_character", field="output_dir", params=params)
    if _size(path) > MAX_PATH or any(_size(part) > MAX_PART for part in Path(path).parts):
        return Problem(code="name_too_long", field="output_dir", params={"limit": MAX_PART})
    return None


def to_name(name: str) -> str:
    """The last part of a path or hub id, turned into a name that `check_name` accepts."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    joined = re.sub(r"[^\w.+=@-]+", "-", last).strip("-. ")
    short = joined.encode()[:MAX_NAME].decode(errors="ignore").strip("-. ")
    return "model" if check_name(short) else short


def _first_unprintable(text: str) -> str:
    """The first character that is not printable, such as a control or a direction mark; or ""."""
    return next((mark for mark in text if not mark.isprintable()), "")


def _describe(mark: str) -> str:
    return mark if mark.isprintable() else f"U+{ord(mark):04X}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
