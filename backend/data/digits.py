"""Keep the digits of numbers through a template, which would write a row's 1.50 as 1.5.

Jinja's and transformers' tojson write any float as Python does. So each number that its file writes
otherwise (values.Number) is rendered as a stand-in, a float with random digits, which is replaced
in the text afterwards. For the template, arguments of calls, schemas of tools and further fields
are still numbers.
"""

import re
import secrets
from typing import Any

from backend.datafiles.values import Number

START = 2 * 10**14 + secrets.randbelow(10**14)  # 15 digits: as many as any float keeps
stand_in = re.compile(r"[2-9]\.\d+e\+214")

Digits = dict[str, str]  # a stand-in as it is written -> the digits of the row


def hide(value: Any, digits: Digits) -> Any:
    """The value with stand-ins for its numbers, which are added to `digits`."""
    if isinstance(value, Number):
        made = float(f"{START + len(digits)}e200")
        digits[repr(made)] = value.text
        return made
    if isinstance(value, dict):
        return {key: hide(each, digits) for key, each in value.items()}
    if isinstance(value, list):
        return [hide(each, digits) for each in value]
    return value


def show(text: str, digits: Digits) -> str:
    """The text with the digits of the row in place of the stand-ins."""
    if not digits:
        return text
    return stand_in.sub(lambda match: digits.get(match[0], match[0]), text)
