"""Text for a terminal: control characters escaped, in the language that its variables name.

Names of files, data sets and runs come from others: a control character in one could move the
cursor or colour the screen, and a direction mark reverse the text after it.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from backend.contract.texts.locales import DEFAULT_LANGUAGE, RIGHT_TO_LEFT, languages
from backend.contract.texts.numbers import Number

VARIABLES = ("TUNEBOARD_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # the first one that is set counts
# Regions and languages whose texts are those of another one.
RELATIVES = {"pt": "pt-BR", "zh-HK": "zh-Hant", "zh-MO": "zh-Hant", "zh-TW": "zh-Hant"}
MARKS = re.compile("[\u200e\u2066\u2069]")  # of our texts, for a browser
WIDTH = 100  # columns of a help
# Wide characters with the marks that begin no line, words (of Hangul, too, which has gaps), gaps.
WIDE, NO_BEGIN = (
    r"\u2e80-\uabff\uf900-\uffef",
    "、。，．：；！？）」』】》〉ーっゃゅょッャュョ",
)
UNITS = re.compile(rf"[{WIDE}][{NO_BEGIN}]*|[^\s{WIDE}]+[{NO_BEGIN}]*|\s+")
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


def binary_size(count: int) -> Number:
    """A limit in bytes as people write it, in steps of 1024: 512 MB, 1.5 GB, 1 TB."""
    number, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return Number(f"{number:.4g} {units[0]}")


def decimal_size(count: float) -> Number:
    """A number of bytes as people read it, with three digits in steps of 1000: 512 B, 1.36 MB."""
    number, units = float(f"{count:.3g}"), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return Number(f"{number:.3g} {units[0]}")


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line, or several, to the terminal; to standard output by default."""
    out = stream or sys.stdout
    out.write(escape(text) + "\n")
    out.flush()


def wrap(text: str, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` columns. A line may also break between Chinese characters."""
    return [line for part in text.split("\n") for line in _wrap_line(part, width)]


def _wrap_line(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for unit in UNITS.findall(text):
        if columns(line + unit.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += unit if line else unit.lstrip()
    return [*lines, line.rstrip()]


def columns(text: str) -> int:
    """The columns that a text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(mark) in {"W", "F"} else 1 for mark in text)


def name_language(environment: Mapping[str, str]) -> str:
    """The language that the variables name (de_AT.UTF-8 is German), else English."""
    value = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    tag = re.split("[.@]", value)[0].replace("_", "-")
    base = tag.split("-")[0]
    names = (tag, RELATIVES.get(tag, ""), base, RELATIVES.get(base, ""))
    return next((name for name in names if name in languages()), DEFAULT_LANGUAGE)


def help_language() -> str:
    """The language of a help; English where the output cannot hold other letters."""
    return _if_written(sys.stdout)


def reader_language(stream: TextIO) -> str:
    """The language of who reads a stream: English for a log or another program."""
    return _if_written(stream) if stream.isatty() else DEFAULT_LANGUAGE


def _if_written(stream: TextIO) -> str:
    is_unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return name_language(os.environ) if is_unicode else DEFAULT_LANGUAGE


def drop_marks(text: str, lang: str) -> str:
    """A text without the marks of direction that only a browser needs."""
    return MARKS.sub("", text) if lang in RIGHT_TO_LEFT else text
