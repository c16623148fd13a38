"""A person's regular expression: compiled with a clear word about mistakes, within limits.

An expression can ask for endless time (backtracking) and for endless memory (repeats that are
multiplied out); neither may take the machine with it.
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
    """Rows in which an expression is found in some text."""

    def __init__(self, expression: str, option: str) -> None:
        """`option` is what the person wrote it after. Raises UsageError where it is none."""
        self.expression = expression
        self.option = option
        self._compiled = _compile(expression, option)

    def matches(self, item: Item) -> bool:
        """Whether it is found in a text of the row. Raises DataError where that takes too long."""
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
    """Within it this process may grow by ROOM only: more is a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    now = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (min([*limits, now + ROOM]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
