"""Make the errors of data files, each with the file's name and its text as a message shows it."""

from pathlib import Path

from backend.contract.base.problems import DataError, Problem

SHOWN = 200  # characters of a line that a message shows


def file_error(code: str, file: Path, **params: str | int) -> DataError:
    """The DataError with the text `problem.<code>` for this file."""
    return DataError(Problem(code=code, params={"file": str(file), **params}))


def excerpt(text: str) -> str:
    """The text with unprintable characters escaped, cut to SHOWN characters."""
    line = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text[: SHOWN + 1])
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
