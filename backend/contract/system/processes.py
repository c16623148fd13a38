"""Identify processes, and send signals only to those of a run.

A pid alone does not identify a process, because the system uses it again. A process is known by its
pid, its start time and the run's token in its environment. psutil is imported where it is used, so
that `tuneboard --help` starts without it.
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
    """A process: its pid, and its start in clock ticks after boot (0 where that is unknown)."""

    pid: int
    started: int = 0

    @classmethod
    def from_json(cls, row: object) -> Process | None:
        """Read what `to_json` wrote; None for anything else."""
        if not isinstance(row, dict):
            return None
        pid, started = row.get("pid"), row.get("started", 0)
        if type(pid) is not int or type(started) is not int or pid <= 1:
            return None
        return cls(pid, started)

    def to_json(self) -> dict[str, int]:
        """The process as launch.json holds it."""
        return {"pid": self.pid, "started": self.started}


def boot_id() -> str:
    """The id of this boot, new at each start of the machine; "" where the system has none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def uptime() -> float:
    """Seconds since boot, with sleep where the system counts it; a clock change does not matter."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def identify(pid: int) -> Process:
    """The process that has this pid now."""
    return Process(pid, _start_time(pid) or 0)


def is_alive(process: Process, token: str = "") -> bool:
    """Whether this very process lives and is no zombie; with a token, whether it carries it."""
    return (
        _start_time(process.pid) == process.started
        and _state(process.pid) not in ENDED
        and (not token or _carries(process.pid, token) is not False)
    )


def find_paused(leader: Process, token: str) -> Process | None:
    """A process of the run that a signal or a debugger has paused, or None."""
    for process in family(leader, token):
        if _state(process.pid) in PAUSED and _start_time(process.pid) == process.started:
            return process
    return None


def family(leader: Process, token: str, reaper: int = 0) -> list[Process]:
    """The living processes of a run: those with its token, and those in its leader's group.

    The group counts only while the leader's pid is still its own. `reaper` is the pid of the
    supervisor, which adopts the orphans of the run.
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
    """Send a signal to every process of a run and to no other, and return how many got it."""
    return sum(send(process, number) for process in family(leader, token, reaper))


def kill_family(leader: Process, token: str, reaper: int = 0) -> bool:
    """Send SIGKILL until no process of the run is left; False where one stays in the kernel."""
    limit = time.monotonic() + KILL_SECONDS
    while signal_family(leader, token, signal.SIGKILL, reaper):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def send(process: Process, number: int) -> bool:
    """Send a signal to this very process; False where it is gone or may not be signalled."""
    if not hasattr(os, "pidfd_open"):  # macOS
        return _send_by_pid(process, number)
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The handle stays with one process; the start time is compared once it is open.
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _send_by_pid(process: Process, number: int) -> bool:
    """As `send`, on systems without pidfd: the start time is compared right before the signal."""
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
    """The start of the process that has this pid now, as in `Process`; None if there is none."""
    import psutil

    try:
        return _ticks(psutil.Process(pid))
    except psutil.Error:
        return None


def _ticks(process: psutil.Process) -> int:
    """Clock ticks from the boot to the start of a process: field 22 of /proc/<pid>/stat.

    psutil counts from 1970 by adding the time of the boot, which moves whenever the clock is set.
    The difference does not move, so it is always the same for a process.
    """
    import psutil

    boot, created = psutil.boot_time(), process.create_time()
    if psutil.boot_time() != boot:  # the clock was set in between
        return _ticks(psutil.Process(process.pid))
    return round((created - boot) * TICKS)


def _carries(pid: int, token: str) -> bool | None:
    """Whether a process has the run's token; None where its environment cannot be read.

    That is so for a process of another user, and for one that has overwritten it with its title.
    """
    import psutil

    try:
        environment = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return None
    return environment.get(TOKEN) == token if environment else None
