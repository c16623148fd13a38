"""A child that waits with its libraries loaded and answers requests, a JSON line each.

The answer to a request is any number of {"progress": [done, all]}, then {"answer": ...} or
{"problems": [...]}. `WarmChild` is the side of the process that asks, `serve` that of the child.
"""

import json
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from backend.contract.system.child_process import Child, command, environment
from backend.contract.texts.problems import ModelError, Problem, TuneboardError

WAIT_S = 60.0  # for the request of another visitor
LAST_S = 5.0  # for a child to end after its last line
WORDS = 400  # characters of a crash that are shown

Message = dict[str, Any]
Progress = Callable[[int, int], None]


class Busy(Exception):
    """The child has answered others for too long."""


class Died(Exception):
    """The child ended within a request; `reason` is the last line of its output."""

    def __init__(self, reason: str = "-") -> None:
        super().__init__(reason)
        self.reason = reason


class WarmChild:
    """One child process for all who ask, which answers one request at a time.

    It starts at the first request, and again after a crash. It ends when it is idle, when its
    standard input closes, and so with the process that asks.
    """

    def __init__(self, module: str, **environ: str) -> None:
        """`module` is run as `python -m`, with `environ` on top of the environment of a child."""
        self._module, self._environ = module, environ
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._is_closed = False
        _children.append(self)

    @property
    def pid(self) -> int | None:
        """The process id of the child; None where none is there."""
        child = self._child
        return child.pid if child is not None and child.code is None else None

    def ask(self, request: Mapping[str, Any], seconds: float) -> Iterator[Message]:
        """The messages of the child about a request; the answer is the last one.

        Raises Busy, Died, TimeoutError where the child is silent for so many `seconds`, and
        TuneboardError with the problems that it reports.
        """
        if not self._lock.acquire(timeout=WAIT_S):
            raise Busy
        child: Child | None = None
        finished = False
        try:
            warm = self._child is not None
            child = self._send(request)
            while True:
                message = _read_message(child.line(seconds))
                if message is None and warm:  # it ended between two requests
                    self._drop(child)
                    warm, child = False, self._send(request)
                    continue
                warm = False
                if message is None:
                    with suppress(TimeoutError):
                        child.wait(LAST_S)
                    raise Died("".join(child.last_lines(1)).strip()[:WORDS] or "-")
                finished = "progress" not in message
                if "problems" in message:
                    raise TuneboardError(*map(Problem.from_json, message["problems"]))
                yield message
                if finished:
                    return
        finally:
            if not finished:
                self._drop(child)
            self._lock.release()

    def answer(self, request: Mapping[str, Any], seconds: float, code: str) -> Any:
        """The answer to a request.

        Raises ModelError with the problem `code` and a {reason} where there comes none within so
        many `seconds` of silence, and TuneboardError with the problems that the child reports.
        """
        reason = "-"
        try:
            *_, last = self.ask(request, seconds)
        except (Busy, TimeoutError):
            pass
        except Died as death:
            reason = death.reason
        else:
            return last["answer"]
        raise ModelError(Problem(code=code, params={"reason": reason}))

    def end(self) -> None:
        """End the child, if there is one; the next request starts another."""
        self._drop(self._child)

    def close(self) -> None:
        """End the child for good: who waits for an answer gets Died, and so does who asks later."""
        self._is_closed = True
        self.end()

    def _send(self, request: Mapping[str, Any]) -> Child:
        """Send the request, and return the child, which is started where there is none."""
        for _ in range(2):
            if self._is_closed:
                break
            if self._child is not None and self._child.code is not None:
                self._drop(self._child)
            child = self._child = self._child or self._start()
            try:
                child.send(json.dumps(request).encode() + b"\n")
            except OSError:  # it has ended just now
                self._drop(child)
            else:
                return child
        raise Died

    def _start(self) -> Child:
        environ = {**environment(), "TOKENIZERS_PARALLELISM": "false", **self._environ}
        argv = command(module=self._module)
        return Child(argv, lines="stdout", asks=True, environ=environ, grace=0)

    def _drop(self, child: Child | None) -> None:
        if child is not None:
            child.end()
        self._child = None


_children: list[WarmChild] = []


def close_all() -> None:
    """Close all warm children of this process, which is about to end: a request that waits for one
    would keep it."""
    for child in _children:
        child.close()


def _read_message(line: str | None) -> Message | None:
    """The message in a line of the child; None at its end, and for a torn line."""
    try:
        message: Message | None = json.loads(line or "")
    except ValueError:
        return None
    return message


def serve(answer: Callable[[Message, Progress], object], idle: float) -> int:
    """Answer requests until standard input ends or no request comes for `idle` seconds.

    Output of libraries goes to standard error, so that the answers stay whole lines.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write(content: object) -> None:
        out.write(json.dumps(content, ensure_ascii=True) + "\n")
        out.flush()

    while select.select([sys.stdin], [], [], idle)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        try:
            progress: Progress = lambda done, whole: write({"progress": [done, whole]})  # noqa: E731
            write({"answer": answer(json.loads(line), progress)})
        except TuneboardError as error:
            rows = [{**each.to_json(), "notice": each.notice} for each in error.problems]
            write({"problems": rows})
    return 0
