"""Rows as tokens, from a warm child, so that the page process does not load torch.

One child (`python -m backend.data.inspection`) serves the whole page process. It starts at the
first request, answers one request at a time, ends when it is idle or its standard input closes (so
with the page), and is started again after a crash. A crash or silence becomes a problem.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from backend.contract.arguments.field import Values
from backend.contract.preflight import installation
from backend.contract.system.child_process import Child, command, environment
from backend.contract.texts.problems import ModelError, Problem, TuneboardError

SILENCE_S = 120.0  # without a line from the child
WAIT_S = 60.0  # for the request of another visitor
LAST_S = 5.0  # for a child to end after its last line
WORDS = 400  # characters of a crash that are shown

Message = dict[str, Any]


_lock = threading.Lock()
_child: Child | None = None


def tokens(values: Values, first: int, count: int) -> Message:
    """`count` rows from `first` on: lines, total, special (ids), notices. Raises TuneboardError."""
    request = {"do": "tokens", "values": _without_none(values), "first": first, "count": count}
    *_, last = ask(request)
    answer: Message = last["answer"]
    return answer


def stats(values: Values, exact: bool) -> Iterator[Message]:
    """Yield {"progress": [done, all]} repeatedly, then {"answer": ...}. Raises TuneboardError."""
    yield from ask({"do": "stats", "values": _without_none(values), "exact": exact})


def ask(request: Mapping[str, Any], seconds: float = SILENCE_S) -> Iterator[Message]:
    """The messages of the child about a request; the answer is the last one.

    Raises ModelError where the child crashes, is silent for `seconds`, or is busy with others;
    TuneboardError with the problems that it reports.
    """
    installation.require_worker()
    if not _lock.acquire(timeout=WAIT_S):
        raise ModelError(Problem(code="inspection_busy"))
    child: Child | None = None
    finished = False
    try:
        warm = _child is not None
        child = _send(request)
        while True:
            message = _message(child.line(seconds))
            if message is None and warm:  # it ended between two requests
                _drop(child)
                warm, child = False, _send(request)
                continue
            warm = False
            if message is None:
                with suppress(TimeoutError):
                    child.wait(LAST_S)
                params = {"reason": "".join(child.last_lines(1)).strip()[:WORDS] or "-"}
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


def _send(request: Mapping[str, Any]) -> Child:
    """Send the request, and return the child, which is started where there is none."""
    global _child
    for _ in range(2):
        if _child is not None and _child.code is not None:
            _drop(_child)
        _child = _child or _start()
        try:
            _child.send(json.dumps(request).encode() + b"\n")
        except OSError:  # it has ended just now
            _drop(_child)
        else:
            return _child
    raise ModelError(Problem(code="inspection_died", params={"reason": "-"}))


def _message(line: str | None) -> Message | None:
    """The message in a line of the child; None at its end, and for a torn line."""
    try:
        message: Message | None = json.loads(line or "")
    except ValueError:
        return None
    return message


def _start() -> Child:
    environ = {**environment(), "TOKENIZERS_PARALLELISM": "false"}
    argv = command(module="backend.data.inspection")
    return Child(argv, lines="stdout", asks=True, environ=environ, grace=0)


def _drop(child: Child | None) -> None:
    global _child
    if child is not None:
        child.end()
    _child = None


def _without_none(values: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _problem(row: Mapping[str, Any]) -> Problem:
    return Problem.from_json(row)
