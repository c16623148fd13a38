"""The files of a run's folder by name, and the small acts on them that every process may do.

Each file has one writer (docs/architecture.md, "The run folder"). Standard library only: the
supervisor uses this.
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
SUPERVISOR_LOG = "supervisor.log"  # its time of change is when the run was launched
METRICS = "metrics.jsonl"
STATUS = "status.json"
STOP = "stop.json"
EXIT = "exit.json"
PROBLEM = "problem.json"
RESULTS = "all_results.json"  # the figures of a finished run
LOCK = ".lock"
ATTEMPTS = "attempts"
TRASH = ".trash"

MIN_GRACE, STEPS, MARGIN = 60.0, 3, 30.0  # a graceful stop: seconds, steps, seconds


def request_stop(path: Path, grace: float | None = None) -> bool:
    """Ask a run to save and end; after `grace` seconds the supervisor ends it by force.

    True for the one request that counts: False where a stop was asked before, or the run has ended.
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
    that the child itself noted.
    """
    row = read_json(path / EXIT)
    code, number = row.get("code"), row.get("signal")
    if isinstance(code, int):
        return code
    noted = last_word(path)
    if noted is not None:
        return noted
    return 128 + number if isinstance(number, int) else 1


def last_word(path: Path) -> int | None:
    """The exit code that the child noted in status.json when its work was over; None if it has not.

    It outlives a supervisor that was killed and could not write exit.json.
    """
    code = read_json(path / STATUS).get("exit_code")
    return code if type(code) is int else None


def take_lock(path: Path, seconds: float | None = 0.0) -> int | None:
    """Lock a file until the descriptor is closed or this process ends; children do not get it.

    Waits so many seconds (None: for ever) while another one holds it, then gives None.
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
