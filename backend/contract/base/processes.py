"""Which process is which, and signals that reach only those that are meant.

A pid alone says nothing: it is used again. A process is known by its pid, its start time and the
run's token in its environment. psutil is imported where a process is asked about, so that commands
which ask about none (`tuneboard --help`) start without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

TOKEN = "TUNEBOARD_RUN_TOKEN"
PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"
ENDED = {"zombie", "dead"}  # psutil's names of states
PAUSED = {"stopped", "tracing-stop"}
KILL_SECONDS = 5.0
TICKS = os.sysconf("SC_CLK_TCK")  # clock ticks a second


@dataclass(frozen=True)
class Process:
    """A process for as long as it lives; `started` is in clock ticks after boot, 0 if unknown."""

    pid: int
    started: int = 0

    @classmethod
    def from_json(cls, row: object) -> Process | None:
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
    return Process(pid, _start_time(pid) or 0)


def is_alive(process: Process, token: str = "") -> bool:
    """Whether this very process is there and no zombie; with a token, whether it carries it."""
    return (
        _start_time(process.pid) == process.started
        and _state(process.pid) not in ENDED
        and (not token or _carries(process.pid, token) is not False)
    )


def find_paused(leader: Process, token: str) -> Process | None:
    """A process of the run that a signal or a debugger has stopped, or None."""
    for process in family(leader, token):
        if _state(process.pid) in PAUSED and _start_time(process.pid) == process.started:
            return process
    return None


def family(leader: Process, token: str, reaper: int = 0) -> list[Process]:
    """The living processes of a run: those with its token, and those in its leader's group.

    The group's number counts only while the leader's pid is still its own. `reaper` is the pid of
    the supervisor: whoever lost its parent in this run is a child of it.
    """
    import psutil

    ours = _start_time(leader.pid) == leader.started and (
        _state(leader.pid) in ENDED or _carries(leader.pid, token) is not False
    )
    members = []
    # Not process_iter: its cache would give a pid that is used again the start time of before.
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.status() in ENDED or pid == os.getpid():
                continue
            member = ours and leader.pid in (pid, os.getpgid(pid), os.getsid(pid))
            orphan = reaper and process.ppid() == reaper
            if member or orphan or (token and _carries(pid, token)):
                members.append(Process(pid, _ticks(process)))
    return members


def signal_family(leader: Process, token: str, number: int, reaper: int = 0) -> int:
    """Send a signal to every process of a run and to no other; returns how many got it."""
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
    if not hasattr(os, "pidfd_open"):  # macOS
        return _send_by_pid(process, number)
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The handle keeps to one process. Only after it is open does the start time say which one.
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _send_by_pid(process: Process, number: int) -> bool:
    """As `send` where there is no handle: the start time is compared right before the signal."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True


def _state(pid: int) -> str:
    """psutil's name of the state of the process that has this pid now; "dead" if none has."""
    import psutil

    try:
        return psutil.Process(pid).status()
    except psutil.Error:
        return psutil.STATUS_DEAD


def _start_time(pid: int) -> int | None:
    """When the process that has this pid now was started, as in `Process`; None if none has."""
    import psutil

    try:
        return _ticks(psutil.Process(pid))
    except psutil.Error:
        return None


def _ticks(process: psutil.Process) -> int:
    """Clock ticks from the boot to the start of a process: field 22 of /proc/<pid>/stat.

    psutil counts from 1970 by adding the time of the boot, which moves whenever the clock is set.
    The difference does not move, so it is the same for everyone who asks, at any time.
    """
    import psutil

    boot, created = psutil.boot_time(), process.create_time()
    if psutil.boot_time() != boot:  # set between the two
        return _ticks(psutil.Process(process.pid))
    return round((created - boot) * TICKS)


def _carries(pid: int, token: str) -> bool | None:
    """Whether a process has the run's token; None where its environment cannot tell.

    It cannot where it belongs to another user, or where the process has written its title over it.
    """
    import psutil

    try:
        environment = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return None
    return environment.get(TOKEN) == token if environment else None
