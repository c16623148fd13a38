"""Texts tidied: control characters, line ends, white space around them. What is inside stays."""

import re
from typing import Any

line_ends = re.compile("\r\n?|\x85")
gaps = re.compile("[\x0b\x0c\x1c-\x1f]+")  # vertical tabs, form feeds, separators
invisible = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\u200b\ufeff]+")
blank_lines = re.compile(r"\A(?:[^\S\n]*\n)+")


def normalize(value: Any) -> Any:
    """A value whose texts, however deep, are tidied; names of keys stay."""
    if isinstance(value, str):
        return normalize_text(value)
    if isinstance(value, dict):
        return {key: normalize(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [normalize(inner) for inner in value]
    return value


def normalize_text(written: str) -> str:
    """Lines end with LF; no control characters but LF and tab; no white space around the text.

    Lines inside stay as they are, and the first line of several keeps its indentation: it may be
    code.
    """
    written = line_ends.sub("\n", written)
    written = invisible.sub("", gaps.sub(" ", written))
    written = blank_lines.sub("", written).rstrip()
    return written if "\n" in written else written.lstrip()
