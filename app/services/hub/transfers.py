"""Downloads from a hub, each a child process: start one, cancel it, see how far it is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from backend.contract.system.child_process import Child, command, environment
from backend.contract.texts.problems import Problem

TAIL = 65536  # bytes of a child's output that are read


@dataclass(frozen=True)
class State:
    """How far a download is.

    step      busy, stopped (by a person), failed or done
    done      bytes that have arrived; `total` is 0 before the hub has told it
    speed     bytes per second
    left      seconds that are left; None while that is not known
    problems  why it has failed
    result    what has come of it: the folder of a model, the name of a registered data set
    """

    step: str = "busy"
    done: int = 0
    total: int = 0
    speed: float = 0.0
    left: float | None = None
    problems: tuple[Problem, ...] = ()
    result: str = ""


@dataclass
class Transfer:
    """A download, of a model or a data set: its child, and its last known state."""

    kind: str
    hub: str
    name: str
    child: Child
    state: State = field(default_factory=State)


_transfers: dict[tuple[str, str, str], Transfer] = {}
_lock = Lock()


def start(kind: str, hub: str, name: str, words: Sequence[str], secrets: Mapping[str, str]) -> None:
    """Start the command that downloads it, unless that goes on; what has arrived earlier stays.

    The secrets reach its environment, and neither its words nor a file.
    """
    key = (kind, hub, name)
    with _lock:
        known = _transfers.get(key)
        if known and _look(known).state.step == "busy":
            return
        if known:
            known.child.end()
        argv = command(*words, "--progress")
        child = Child(argv, environ={**environment(), **secrets})
        _transfers[key] = Transfer(kind, hub, name, child)


def cancel(kind: str, hub: str, name: str) -> None:
    """End a download that goes on; what has arrived stays."""
    with _lock:
        known = _transfers.get((kind, hub, name))
        if known and _look(known).state.step == "busy":
            known.child.end()
            known.state = replace(known.state, step="stopped", speed=0.0, left=None)


def forget(kind: str, name: str) -> None:
    """Tell no more of ended downloads of this name: they were removed from the disk."""
    with _lock:
        for key, known in list(_transfers.items()):
            if (known.kind, known.name) == (kind, name) and _look(known).state.step != "busy":
                del _transfers[key]


def look(kind: str) -> list[Transfer]:
    """The downloads of this process, the newest first."""
    with _lock:
        return [_look(each) for each in reversed(_transfers.values()) if each.kind == kind]


def _look(transfer: Transfer) -> Transfer:
    """Read how far it is by now."""
    if transfer.state.step != "busy":
        return transfer
    code = transfer.child.code  # before the output, so that the last of that is not missed
    for row in _rows(transfer.child.text(TAIL)):
        if "problems" in row:
            problems = tuple(map(Problem.from_json, row["problems"]))
            transfer.state = replace(transfer.state, problems=problems)
        elif "total" in row:
            known = {name: row[name] for name in ("done", "total", "speed", "left")}
            transfer.state = replace(transfer.state, **known)
    if code is not None:
        last = "".join(transfer.child.last_lines(1)).strip()
        transfer.state = _end(transfer.state, code, last)
        transfer.child.end()
    return transfer


def _end(state: State, code: int, last: str) -> State:
    """The state at the end of a child, from its exit code and its last line."""
    if not code:
        return replace(state, step="done", result=last)
    unsaid = Problem(code="hub_no_answer", params={"reason": last[:200] or "-"})
    return replace(state, step="failed", problems=state.problems or (unsaid,))


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """The lines of a child's output that are JSON objects."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:  # cut where the tail begins
                continue
