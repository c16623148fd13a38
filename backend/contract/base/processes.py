"""Which process is which, and signals that reach only those that are meant.

A pid alone says nothing: it is used again. A process is known by its pid, its start time (field 22
of /proc/<pid>/stat) and the run's token in its environment. Where there is no /proc (macOS) only
the pid can be asked for.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = "TUNEBOARD_RUN_TOKEN"
PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"
ENDED = {"Z", "X"}
PAUSED = {"T", "t"}
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """A process for as long as it lives; `started` is in clock ticks after boot, 0 if unknown."""

    pid: int
    started: int = 0

    @classmethod
    def from_json(cls, row: object) -> "Process | None":
        """Read back what to_json wrote; None for anything else."""
        if not isinstance(row, dict):
            return None
        pid, started = row.get("pid"), row.get("started", 0)
        if type(pid) is not int or type(started) is not int or pid <= 1:
            return None
        return cls(pid, started)

    def to_json(self) -> dict[str, int]:
        """As written to launch.json."""
        return {"pid": self.pid, "started": self.started}


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    group: int
    session: int
    started: int


def boot_id() -> str:
    """Changes with each start of the machine; "" where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def uptime() -> float:
    """Seconds since boot, sleep included where the system counts it; no clock change moves it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def identify(pid: int) -> Process:
    """The process that has this pid now."""
    stat = _stat(pid)
    return Process(pid, stat.started if stat else 0)


def alive(process: Process, token: str = "") -> bool:
    """Whether this very process is there and no zombie; with a token, whether it carries it."""
    if not PROC.is_dir():
        return _answers(process.pid)
    stat = _stat(process.pid)
    return (
        stat is not None
        and stat.state not in ENDED
        and stat.started == process.started
        and (not token or _carries(process.pid, token) is not False)
    )


def paused(leader: Process, token: str) -> Process | None:
    """A process of the run that a signal or a debugger has stopped, or None."""
    if not PROC.is_dir():
        return None
    for process in family(leader, token):
        stat = _stat(process.pid)
        if stat is not None and stat.started == process.started and stat.state in PAUSED:
            return process
    return None


def family(leader: Process, token: str, reaper: int = 0) -> list[Process]:
    """The living processes of a run: those with its token, and those in its leader's group.

    The group's number counts only while the leader's pid is still its own. `reaper` is the pid of
    the supervisor: whoever lost its parent in this run is a child of it.
    """
    stat = _stat(leader.pid)
    ours = (
        stat is not None
        and stat.started == leader.started
        and (stat.state in ENDED or _carries(leader.pid, token) is not False)
    )
    found = []
    for pid, each in _all():
        if each.state in ENDED or pid == os.getpid():
            continue
        member = ours and leader.pid in (pid, each.group, each.session)
        orphan = reaper and each.parent == reaper
        if member or orphan or (token and _carries(pid, token)):
            found.append(Process(pid, each.started))
    return found


def signal_family(leader: Process, token: str, number: int, reaper: int = 0) -> int:
    """Send a signal to every process of a run and to no other; returns how many got it."""
    if not PROC.is_dir():
        return _signal_group(leader.pid, number)
    return sum(send(process, number) for process in family(leader, token, reaper))


def kill_family(leader: Process, token: str, reaper: int = 0) -> bool:
    """SIGKILL until no process of the run is left; False where one stays (stuck in the kernel)."""
    limit = time.monotonic() + KILL_SECONDS
    while signal_family(leader, token, signal.SIGKILL, reaper):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def send(process: Process, number: int) -> bool:
    """Send a signal to this very process; False where it has gone or may not be signalled."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The handle keeps to one process. Only after it is open does the start time say which one.
        stat = _stat(process.pid)
        if stat is None or stat.started != process.started or stat.state in ENDED:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _signal_group(group: int, number: int) -> int:
    """Without /proc: the whole group at once, as its number is all that is known."""
    try:
        os.killpg(group, number)
    except OSError:
        return 0
    return 1


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(pid: int) -> _Stat | None:
    """The fields after the name, which may hold blanks and brackets; see proc(5)."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].decode()
    except OSError:
        return None
    field = text.split()
    if len(field) < 20:
        return None
    return _Stat(field[0], int(field[1]), int(field[2]), int(field[3]), int(field[19]))


def _all() -> Iterator[tuple[int, _Stat]]:
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None:
                yield int(entry.name), stat


def _carries(pid: int, token: str) -> bool | None:
    """Whether a process has the run's token; None where its environment cannot tell.

    It cannot where it belongs to another user, or where the process has written its title over it.
    """
    try:
        content = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    if f"{TOKEN}={token}".encode() in content.split(b"\0"):
        return True
    whole = all(b"=" in part for part in content.rstrip(b"\0").split(b"\0"))
    return False if content and whole else None
