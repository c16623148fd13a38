"""Write a value of a data file as text, by one rule for all kinds of files.

    text       as it is (every cell of CSV and TSV is one: 1.50, 007 and True stay so)
    number     as a JSON file writes it (1.50, 1e5); the fewest digits that mean it where a table
               format holds it in binary (0.1, 3.0); a decimal with all its digits (1.50)
    boolean    true, false
    date, time in ISO 8601: 2024-01-31, 2024-01-31T08:00:00+01:00
    bytes      the text that they are in UTF-8; others (or with a NUL in them) are no text
    null       nothing

Lists and objects are no text; to be learned they must be written as JSON in the file.
"""

import json
import math
import re
import secrets
from typing import Any

DataRow = dict[str, Any]  # one row of a data file: column -> value

MARK = f"number {secrets.token_hex(16)} "  # before a number's digits on their way to JSON

marked_number = re.compile(f'"{MARK}([^"]*)"')


class Number(float):
    """A number that its file writes otherwise than Python would: 1.50, 1e5."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "Number":
        """The number with these digits."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        """The arguments with which pickle makes the number again."""
        return (self.text,)


def number(digits: str) -> float:
    """A JSON number with a fraction or an exponent; infinite where it is too large."""
    plain = float(digits)
    return plain if repr(plain) == digits or math.isinf(plain) else Number(digits)


def text_of(value: object) -> str | None:
    """A value as a text by the rule above; None where it is none (null, a list, NaN, bytes)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return value.text
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    return None


def dumps(value: Any, **how: Any) -> str:
    """A row or a value of it as JSON in which numbers keep their digits.

    `how`: further arguments of json.dumps. Raises as json.dumps does.
    """
    text = json.dumps(_mark_numbers(value), ensure_ascii=False, **how)
    return marked_number.sub(r"\1", text) if MARK in text else text


def _mark_numbers(value: Any) -> Any:
    if isinstance(value, Number):
        return f"{MARK}{value.text}"
    if isinstance(value, dict):
        return {key: _mark_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mark_numbers(each) for each in value]
    return value
