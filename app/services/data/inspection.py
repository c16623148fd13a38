"""Rows as the model sees them: asked from a warm child, so that no torch is in the page process.

One child (`python -m backend.data.inspection`) for the whole page process: it starts when
first asked, answers one request at a time, ends by itself when idle or when its standard input
closes (so with the page), and is started again when it died. Its crash or silence is a named
problem.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from backend.contract.arguments.field import Values
from backend.contract.base.home import home, started_in
from backend.contract.base.problems import ModelError, Problem, TuneboardError
from backend.contract.preflight import installation

SILENCE_S = 120.0  # without a word from the child
WAIT_S = 60.0  # for the request of somebody else
WORDS = 400  # characters of a crash that are told
CHUNK = 1 << 16

Message = dict[str, Any]


class Child:
    """The process and its pipes."""

    def __init__(self) -> None:
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the child)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "backend.data.inspection"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=home(),
            env={**os.environ, **started_in(), "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,
        )
        self._held = b""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask. Raises OSError where it is gone."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, seconds: float) -> Message | None:
        """The next line it says; None where it ended. Raises TimeoutError."""
        assert self.process.stdout is not None
        limit = time.monotonic() + seconds
        while b"\n" not in self._held:
            if not select.select([self.process.stdout], [], [], max(0, limit - time.monotonic()))[
                0
            ]:
                raise TimeoutError
            more = os.read(self.process.stdout.fileno(), CHUNK)
            if not more:
                return None
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        found: Message = json.loads(line)
        return found

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        end = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, end - CHUNK))
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return (lines[-1] if lines else "-")[:WORDS]

    def end(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


_lock = threading.Lock()
_child: Child | None = None


def tokens(values: Values, first: int, count: int) -> Message:
    """Rows first to first + count: lines, total, special (ids), notices. Raises TuneboardError."""
    request = {"do": "tokens", "values": _given(values), "first": first, "count": count}
    *_, last = ask(request)
    found: Message = last["answer"]
    return found


def stats(values: Values, exact: bool) -> Iterator[Message]:
    """{"progress": [done, all]} again and again, then {"answer": ...}. Raises TuneboardError."""
    yield from ask({"do": "stats", "values": _given(values), "exact": exact})


def ask(request: Mapping[str, Any], seconds: float = SILENCE_S) -> Iterator[Message]:
    """What the child says to a request, the answer last.

    Raises ModelError where it crashes, says nothing for `seconds`, or is busy with others; the
    problems that it tells as TuneboardError.
    """
    installation.require_worker()
    if not _lock.acquire(timeout=WAIT_S):
        raise ModelError(Problem(code="inspection_busy"))
    child: Child | None = None
    finished = False
    try:
        warm = _child is not None
        child = _sent(request)
        while True:
            message = child.receive(seconds)
            if message is None and warm:  # it ended between two requests
                _drop(child)
                warm, child = False, _sent(request)
                continue
            warm = False
            if message is None:
                child.process.wait()
                params = {"reason": child.last_words()}
                raise ModelError(Problem(code="inspection_died", params=params))
            finished = "progress" not in message
            if "problems" in message:
                raise TuneboardError(*map(_problem, message["problems"]))
            yield message
            if finished:
                return
    except TimeoutError:
        raise ModelError(
            Problem(code="inspection_silent", params={"seconds": round(seconds)})
        ) from None
    finally:
        if not finished:
            _drop(child)
        _lock.release()


def _sent(request: Mapping[str, Any]) -> Child:
    """The child that has the request: started, or started again where it had ended."""
    global _child
    for _ in range(2):
        if _child is not None and not _child.alive:
            _drop(_child)
        _child = _child or Child()
        try:
            _child.send(request)
        except OSError:  # it ended itself just now
            _drop(_child)
        else:
            return _child
    raise ModelError(Problem(code="inspection_died", params={"reason": "-"}))


def _drop(child: Child | None) -> None:
    global _child
    if child is not None:
        child.end()
    _child = None


def close() -> None:
    """End the child."""
    _drop(_child)


atexit.register(close)


def _given(values: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _problem(row: Mapping[str, Any]) -> Problem:
    return Problem.from_json(row)
