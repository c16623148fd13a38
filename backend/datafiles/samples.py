"""Read the first rows of a file or folder, from which its layout is detected."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import reading, separators

FIRST = 100  # rows that are looked at
MOST = 100_000  # rows that are read before a set is registered: a second or two


@dataclass(frozen=True)
class Sample:
    """The first rows of a file or folder, with the line of each; `notices`: how they were read."""

    file: str
    rows: list[dict[str, Any]]
    lines: list[int]
    notices: list[Problem] = field(default_factory=list)


def sample(path: Path, count: int = FIRST) -> Sample:
    """Read the first rows of a file or folder. Raises DataError where not one can be read."""
    numbered: list[tuple[int, dict[str, Any]]] = []
    try:
        for each in islice(reading.rows(path), count):
            numbered.append(each)
    except DataError:
        if not numbered:
            raise
    separated = separators.reason(reading.files(path)[0])
    notices = [] if separated is None else [separated]
    return Sample(str(path), [row for _, row in numbered], [line for line, _ in numbered], notices)


def require_readable(path: Path, count: int = MOST) -> None:
    """Raises DataError where one of the first rows cannot be read, since training would stop."""
    for _ in islice(reading.rows(path), count):
        pass
