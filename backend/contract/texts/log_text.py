"""Text of a log, safe to show: without escape sequences and controls, and with secrets masked."""

import os
import re
from collections.abc import Mapping

MASK = "••••••"
MIN_SECRET = 8  # shorter values would mask ordinary words
MAX_LINE = 2000  # characters
CUT = "[…]"

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


def shorten(line: str) -> str:
    """The line, or its start and how much more of it there is."""
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
