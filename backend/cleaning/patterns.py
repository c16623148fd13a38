"""Compile and search a person's regular expression within limits of time and memory.

An expression can take endless time (backtracking) and endless memory (repeats that are multiplied
out); neither may bring the machine down.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import regex

from backend.cleaning.rows import Item, texts
from backend.contract.base.problems import DataError, Params, Problem, UsageError

SECONDS = 2.0  # for a text
ROOM = 512 * 1024**2  # bytes that compiling may take
MISTAKES = (regex.error, ValueError, OverflowError, RecursionError, MemoryError)


class Pattern:
    """A regular expression that is searched in all texts of a row."""

    def __init__(self, expression: str, option: str) -> None:
        """option: the name of its command line option. Raises UsageError where it is invalid."""
        self.expression = expression
        self.option = option
        self._compiled = _compile(expression, option)

    def matches(self, item: Item) -> bool:
        """Whether a text of the row matches. Raises DataError after SECONDS for one text."""
        try:
            return any(self._compiled.search(each, timeout=SECONDS) for each in texts(item.row))
        except (TimeoutError, MemoryError):
            params: Params = {"file": item.file, "line": item.line, "seconds": int(SECONDS)}
            problem = Problem(code="clean_slow_pattern", field=self.option, params=params)
            raise DataError(problem) from None


def _compile(expression: str, option: str) -> Any:
    try:
        with _little_memory():
            return regex.compile(expression)
    except MISTAKES as error:
        params = {"pattern": expression[:200], "reason": str(error)[:200] or type(error).__name__}
        problem = Problem(code="clean_bad_pattern", field=option, params=params)
        raise UsageError(problem) from None


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let this process grow by ROOM bytes at most inside the block; more is a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    now = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (min([*limits, now + ROOM]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
