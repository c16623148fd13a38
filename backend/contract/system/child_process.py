"""Child processes: start one, read its output as it works, and end it with all that it started."""

import atexit
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, TypeVar

from backend.contract.folders.home import caller_environment, code_path, home
from backend.contract.texts.problems import DataError, Problem

GRACE_S = 10.0  # from SIGTERM to SIGKILL, time for the child to clean up
TICK_S = 0.2  # how often a wait checks whether the child has ended
CHUNK = 1 << 16  # bytes

T = TypeVar("T")


def command(*words: str, module: str = "backend") -> list[str]:
    """The command line that runs a module as a child; the module is `backend` by default."""
    return [sys.executable, "-P", "-m", module, *words]


def environment(known: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child: with the path of this code and the folder of the caller."""
    return {**known, **code_path(known), **caller_environment()}


class Child:
    """A process in a session of its own: a signal reaches its whole group, Ctrl-C none of it.

    It runs in the working folder. The stream `lines` ("stdout" or "stderr") is read as it comes;
    other output goes to a file, so that a full pipe never blocks the child. It is ended when this
    process ends, unless it has a log file of its own.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        lines: Literal["", "stdout", "stderr"] = "",
        asks: bool = False,
        environ: Mapping[str, str] | None = None,
        log: Path | None = None,
        grace: float = GRACE_S,
    ) -> None:
        """Start the process. Raises OSError.

        lines    the stream that `line` reads
        asks     whether `send` writes to its standard input, which ends with this process
        environ  its whole environment; the default is `environment()`
        log      a file for its output; the child then outlives this process
        grace    seconds from SIGTERM to SIGKILL when it is ended; 0: SIGKILL at once
        """
        self._grace = grace
        self._held = b""
        self._lock = threading.RLock()
        self._log: IO[bytes] = log.open("w+b") if log else tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if asks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if lines == "stdout" else self._log,
                stderr=subprocess.PIPE if lines == "stderr" else self._log,
                cwd=home(),
                env=environment() if environ is None else environ,
                start_new_session=True,
            )
        except BaseException:
            self._log.close()
            raise
        self._lines = self._process.stdout if lines == "stdout" else self._process.stderr
        if not log:
            _ours.add(self)

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended (negative for a signal), else None.

        Processes left in its group are killed before the system can use its number again.
        """
        with self._lock:
            if self._process.returncode is None and self._is_zombie():
                self._signal(signal.SIGKILL)
                self._process.wait()
                _ours.discard(self)
            return self._process.returncode

    def send(self, message: bytes) -> None:
        """Write to its standard input. Raises OSError where the child is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(message)
        self._process.stdin.flush()

    def line(self, seconds: float = math.inf) -> str | None:
        """The next line of its stream without the line end; None after the last. TimeoutError.

        The stream ends with the child, even where a process that it started in another session
        still holds it open.
        """
        limit = time.monotonic() + seconds
        while b"\n" not in self._held:
            more = self._read(limit)
            if not more:
                rest, self._held = self._held, b""
                return rest.decode("utf-8", "replace") if rest else None
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _read(self, limit: float) -> bytes:
        assert self._lines is not None
        ready = select.poll()  # select.select knows no file numbers above 1023
        ready.register(self._lines, select.POLLIN)
        while True:
            ended = self.code is not None  # asked first, so that the last output is still read
            wait = 0.0 if ended else min(TICK_S, max(0.0, limit - time.monotonic()))
            if ready.poll(1000 * wait):
                return os.read(self._lines.fileno(), CHUNK)
            if ended:
                return b""
            if time.monotonic() >= limit:
                raise TimeoutError

    def text(self, size: int | None = None) -> str:
        """Its output outside of `lines`, or the last `size` bytes of that; "" once it was ended."""
        with self._lock:
            if self._log.closed:
                return ""
            end = os.fstat(self._log.fileno()).st_size
            start = 0 if size is None else max(0, end - size)
            # pread, because moving the file's position would move where the child writes.
            return os.pread(self._log.fileno(), end - start, start).decode("utf-8", "replace")

    def last_lines(self, count: int) -> list[str]:
        """The last lines of `text` that are not blank."""
        return [line for line in self.text(CHUNK).splitlines() if line.strip()][-count:]

    def wait(self, seconds: float = math.inf) -> int:
        """Wait for its end and return its exit code. Raises TimeoutError."""
        limit, pause = time.monotonic() + seconds, 0.001
        while (code := self.code) is None:
            if time.monotonic() >= limit:
                raise TimeoutError
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return code

    def end(self) -> None:
        """End it and all that it started. Its memory is free when this returns."""
        if self._grace and self.code is None:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                self.wait(self._grace)
        if self.code is None:
            self._signal(signal.SIGKILL)
            self.wait()
        with self._lock:
            for file in (self._process.stdin, self._lines, self._log):
                with suppress(OSError):
                    if file is not None:
                        file.close()

    def _signal(self, number: int) -> None:
        with self._lock, suppress(OSError):  # OSError: only a zombie is left, on macOS
            if self._process.returncode is None:
                os.killpg(self.pid, number)

    def _is_zombie(self) -> bool:
        try:
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, options) is not None
        except (AttributeError, ChildProcessError):  # macOS before Python 3.13; reaped by others
            return self._process.poll() is not None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a child: exit code, standard output, and the last line of standard error."""

    code: int
    out: str
    words: str


class Stopped(Exception):
    """The work was stopped by the person who asked for it."""


def follow(
    argv: Sequence[str],
    progress: Callable[[str], T | None],
    *,
    seconds: float = math.inf,
    stop: threading.Event | None = None,
) -> Generator[T, None, Outcome]:
    """Run a child with --progress and yield what `progress` reads from its lines.

    Raises DataError with the child's problems, TimeoutError where it has not ended after so many
    `seconds`, and Stopped once `stop` is set. The child has ended whenever this returns or raises.
    """
    limit = time.monotonic() + seconds
    problems: list[Problem] = []
    words = ""
    with Child(argv, lines="stderr") as child:
        for line in _lines(child, limit, stop):
            step = progress(line)
            if step is not None:
                yield step
            elif line.startswith('{"problems"'):
                problems = [Problem.from_json(row) for row in json.loads(line)["problems"]]
            elif line.strip():
                words = line.strip()
        code = child.wait(limit - time.monotonic())
        if problems:
            raise DataError(*problems)
        return Outcome(code, child.text(), words)


def run(argv: Sequence[str], seconds: float) -> Outcome:
    """Run a child to its end without reading its progress. Raises as `follow` does."""
    work: Generator[object, None, Outcome] = follow(argv, lambda _: None, seconds=seconds)
    while True:
        try:
            next(work)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def _lines(child: Child, limit: float, stop: threading.Event | None) -> Iterator[str]:
    while True:
        if stop is not None and stop.is_set():
            raise Stopped
        try:
            line = child.line(min(TICK_S, limit - time.monotonic()))
        except TimeoutError:
            if time.monotonic() >= limit:
                raise
        else:
            if line is None:
                return
            yield line


_ours: set[Child] = set()


def _end_ours() -> None:
    for child in list(_ours):
        child.end()


atexit.register(_end_ours)
