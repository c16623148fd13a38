"""Text for a terminal, with control characters escaped.

Names of files, data sets and runs come from others: a control character in one could move the
cursor or colour the screen, and a direction mark reverse the text after it.
"""

import re
import sys
import unicodedata
from typing import TextIO

WIDTH = 100  # columns of a help
UNITS = re.compile(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+|\s+")  # wide characters, words, gaps
# C0 but tab and line feed, DEL, C1; direction marks; other line ends; halves of characters.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def escape(text: str) -> str:
    """The text with such characters escaped as in JSON (\\u001b), so that JSON stays the same."""
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """As `escape`, for a name: tabs and line ends are escaped, too."""
    return escape(text).replace("\n", "\\n").replace("\t", "\\t")


def binary_size(count: int) -> str:
    """A limit in bytes as people write it, in steps of 1024: 512 MB, 1.5 GB, 1 TB."""
    number, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.4g} {units[0]}"


def decimal_size(count: float) -> str:
    """A number of bytes as people read it, with three digits in steps of 1000: 512 B, 1.36 MB."""
    number, units = float(f"{count:.3g}"), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.3g} {units[0]}"


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line, or several, to the terminal; to standard output by default."""
    out = stream or sys.stdout
    out.write(escape(text) + "\n")
    out.flush()


def wrap(text: str, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` columns. A line may also break between wide (Chinese) characters."""
    return [line for part in text.split("\n") for line in _wrap_line(part, width)]


def _wrap_line(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for unit in UNITS.findall(text):
        if _columns(line + unit.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += unit if line else unit.lstrip()
    return [*lines, line.rstrip()]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(mark) in {"W", "F"} else 1 for mark in text)
