"""Download the starter model in a child process, and read its progress from a log file."""

from dataclasses import dataclass

from backend.contract.folders.home import saves
from backend.contract.system.child_process import Child, command

LOG = ".starter.log"
WIDTH = 200  # characters of its last line


@dataclass(frozen=True)
class Progress:
    """Which try of this process it is, from 1; whether the child still works, its last line, and
    its exit code once it has ended."""

    number: int
    running: bool
    line: str
    code: int | None


_child: Child | None = None
_tries = 0


def fetch() -> None:
    """Start `tuneboard starter` unless it runs already."""
    global _child, _tries
    if _child is not None:
        if _child.code is None:
            return
        _child.end()
    log = saves() / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    _child, _tries = Child(command("starter"), log=log), _tries + 1


def progress() -> Progress | None:
    """The progress of the child, or None where this process has started none."""
    if _child is None:
        return None
    code = _child.code
    line = "".join(_child.last_lines(1)).strip()[:WIDTH]
    return Progress(_tries, running=code is None, line=line, code=code)
