"""Normalize texts: control characters, line ends and the white space around a text."""

import re
from typing import Any

line_ends = re.compile("\r\n?|\x85")
gaps = re.compile("[\x0b\x0c\x1c-\x1f]+")  # vertical tabs, form feeds, separators
invisible = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\u200b\ufeff]+")
blank_lines = re.compile(r"\A(?:[^\S\n]*\n)+")


def normalize(value: Any) -> Any:
    """The value with all its texts, however deep, normalized; names of keys stay."""
    if isinstance(value, str):
        return normalize_text(value)
    if isinstance(value, dict):
        return {key: normalize(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [normalize(inner) for inner in value]
    return value


def normalize_text(written: str) -> str:
    """The text with LF line ends, no control characters but LF and tab, no white space around it.

    Lines inside stay as they are, and the first line of several keeps its indentation: it may be
    code.
    """
    written = line_ends.sub("\n", written)
    written = invisible.sub("", gaps.sub(" ", written))
    written = blank_lines.sub("", written).rstrip()
    return written if "\n" in written else written.lstrip()
