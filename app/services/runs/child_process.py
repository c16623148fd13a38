"""A child of the page: how far it is and its problems (on standard error), what it prints."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from backend.contract.base.problems import DataError, Problem

END_S = 10.0  # for the child to tidy up behind it

T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """What is left of a child: its exit code, its standard output, its last other words."""

    code: int
    out: str
    words: str


def problems(line: str) -> list[Problem]:
    """The problems that a line of a child with --progress holds; [] where it holds none."""
    if not line.startswith('{"problems"'):
        return []
    return [Problem.from_json(row) for row in json.loads(line)["problems"]]


def follow(argv: list[str], progress: Callable[[str], T | None]) -> Generator[T, None, Ended]:
    """Run a child with --progress; yields what `progress` reads in the lines that tell it.

    Raises DataError with the child's problems. Closing the generator ends the child.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True
        )
        found: list[Problem] = []
        words = ""
        try:
            assert child.stderr is not None
            for line in child.stderr:
                done = progress(line)
                if done is not None:
                    yield done
                elif told := problems(line):
                    found = told
                elif line.strip():
                    words = line.strip()
            code = child.wait()
        finally:
            _end(child)
        if found:
            raise DataError(*found)
        out.seek(0)
        return Ended(code, out.read(), words)


def _end(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        with suppress(OSError):
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stderr is not None:
        child.stderr.close()
