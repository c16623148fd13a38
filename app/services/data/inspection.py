"""Rows as the model sees them: asked from a warm child, so that no torch is in the page process.

One child (`python -m backend.data.inspection`) for the whole page process: it starts when
first asked, answers one request at a time, ends by itself when idle or when its standard input
closes (so with the page), and is started again when it died. Its crash or silence is a named
problem.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from backend.contract.arguments.field import Values
from backend.contract.base.child_process import Child, command, environment
from backend.contract.base.problems import ModelError, Problem, TuneboardError
from backend.contract.preflight import installation

SILENCE_S = 120.0  # without a word from the child
WAIT_S = 60.0  # for the request of somebody else
LAST_S = 5.0  # to its end, for a child that has said its last
WORDS = 400  # characters of a crash that are told

Message = dict[str, Any]


_lock = threading.Lock()
_child: Child | None = None


def tokens(values: Values, first: int, count: int) -> Message:
    """Rows first to first + count: lines, total, special (ids), notices. Raises TuneboardError."""
    request = {"do": "tokens", "values": _without_none(values), "first": first, "count": count}
    *_, last = ask(request)
    answer: Message = last["answer"]
    return answer


def stats(values: Values, exact: bool) -> Iterator[Message]:
    """{"progress": [done, all]} again and again, then {"answer": ...}. Raises TuneboardError."""
    yield from ask({"do": "stats", "values": _without_none(values), "exact": exact})


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
    """The child that has the request: started, or started again where it had ended."""
    global _child
    for _ in range(2):
        if _child is not None and _child.code is not None:
            _drop(_child)
        _child = _child or _start()
        try:
            _child.send(json.dumps(request).encode() + b"\n")
        except OSError:  # it ended itself just now
            _drop(_child)
        else:
            return _child
    raise ModelError(Problem(code="inspection_died", params={"reason": "-"}))


def _message(line: str | None) -> Message | None:
    """A line of the child; None for its end, and for what it was killed in the midst of."""
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
