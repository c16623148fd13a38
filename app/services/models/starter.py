"""The starter model fetched by a child process, followed by its own words on a log file."""

import os
import subprocess
import sys
from dataclasses import dataclass

from backend.contract.base.home import home, saves

LOG = ".starter.log"


@dataclass(frozen=True)
class Progress:
    """Whether the child still works, its last line, and its exit code once it has ended."""

    running: bool
    line: str
    code: int | None


_child: subprocess.Popen[bytes] | None = None


def fetch() -> None:
    """Start `tuneboard starter` unless it runs already."""
    global _child
    if _child is not None and _child.poll() is None:
        return
    log = saves() / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        _child = subprocess.Popen(
            [sys.executable, "-m", "backend", "starter"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=home(),
            env=dict(os.environ),
            start_new_session=True,
        )


def progress() -> Progress | None:
    """How far the child is, or None where none was started by this process."""
    if _child is None:
        return None
    code = _child.poll()
    return Progress(running=code is None, line=_last_line(), code=code)


def _last_line() -> str:
    try:
        text = (saves() / LOG).read_bytes()[-2000:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
