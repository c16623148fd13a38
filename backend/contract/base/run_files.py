"""The files of a run folder by name, and the small operations on them that any process may do.

Each file has one writer (docs/architecture.md, "The run folder"). The supervisor uses this module,
so it imports the standard library only.
"""

import fcntl
import os
import time
from pathlib import Path

from backend.contract.base import metrics, processes
from backend.contract.base.files import dump, read_json

RUN = "run.json"
ARGUMENTS = "args.yaml"
COMMAND = "command.sh"
LAUNCH = "launch.json"
LOG = "log.txt"
SUPERVISOR_LOG = "supervisor.log"  # its modification time is the time of the launch
METRICS = "metrics.jsonl"
STATUS = "status.json"
STOP = "stop.json"
EXIT = "exit.json"
PROBLEM = "problem.json"
RESULTS = "all_results.json"  # the final metrics of a finished run
LOCK = ".lock"
ATTEMPTS = "attempts"
TRASH = ".trash"

MIN_GRACE, STEPS, MARGIN = 60.0, 3, 30.0  # a graceful stop: seconds, steps, seconds


def request_stop(path: Path, grace: float | None = None) -> bool:
    """Ask a run to save and end. After `grace` seconds the supervisor ends it by force.

    Returns True for the first request only: False where a stop was requested before or the run has
    ended. The default grace is the time of STEPS steps, at least MIN_GRACE seconds.
    """
    if (path / EXIT).exists():
        return False
    if grace is None:
        grace = max(MIN_GRACE, STEPS * metrics.seconds_per_step(path / METRICS) + MARGIN)
    try:
        handle = os.open(path / STOP, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(handle, dump({"grace": grace, "uptime": processes.uptime()}))
    finally:
        os.close(handle)
    return True


def exit_code(path: Path) -> int:
    """The exit code of an ended run: the child's, 128 + n where signal n ended it, else 1.

    Where a signal came after the child had saved everything, or nobody saw the end, it is the code
    that the child noted in status.json.
    """
    row = read_json(path / EXIT)
    code, number = row.get("code"), row.get("signal")
    if isinstance(code, int):
        return code
    noted = noted_exit_code(path)
    if noted is not None:
        return noted
    return 128 + number if isinstance(number, int) else 1


def noted_exit_code(path: Path) -> int | None:
    """The exit code that the child noted in status.json at its end; None where there is none.

    It is there even where the supervisor was killed before it wrote exit.json.
    """
    code = read_json(path / STATUS).get("exit_code")
    return code if type(code) is int else None


def take_lock(path: Path, seconds: float | None = 0.0) -> int | None:
    """Lock a file until the descriptor is closed or this process ends; children do not inherit it.

    Waits `seconds` (None: without limit) for the lock, then returns None.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    limit = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                os.close(handle)
                return None
            time.sleep(0.02)
        else:
            return handle
