"""The parent of a run: starts the child, waits, stops it when asked, writes how it ended.

`python -m backend.running.supervisor FOLDER [word ...]` starts the command of run.json and the
words after it. `... FOLDER --adopt` watches a child whose supervisor was killed, and
`... FOLDER --queue OTHER...` starts the command once the runs in the other folders have ended.
Standard library and psutil only, so that little can fail: it goes on when the page, the terminal or
the launcher is gone.
"""

import contextlib
import ctypes
import datetime
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import home
from backend.contract.models import devices
from backend.contract.runs.run_files import (
    EXIT,
    LAUNCH,
    LOCK,
    LOG,
    RUN,
    STOP,
    request_stop,
)
from backend.contract.system import processes
from backend.contract.system.files import dump, read_json, take_lock, write_atomic
from backend.contract.system.processes import Process
from backend.contract.texts.problems import STOPPED_EXIT
from backend.running import notifying, queue

POLL_SECONDS = 0.2
LOCK_SECONDS = 5.0  # a supervisor before us may still be on its way out
TERM_SECONDS = "TUNEBOARD_TERM_SECONDS"  # environment: from SIGTERM to SIGKILL, 10 unless told
DEFAULT_GRACE = 60.0
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
OOM_SCORE = "500"  # the kernel takes the child before the page or us
RESERVE = ".reserve"
RESERVE_BYTES = 65536  # kept so that the end can be written on a full disk


def main(argv: list[str] | None = None) -> int:
    """Fork, so that the launcher has no child to wait for, and supervise the run in the folder."""
    words = list(sys.argv[1:] if argv is None else argv)
    folder = Path(words.pop(0)).absolute()
    if os.fork():
        # Here, and not in the supervisor, which kills all that is left of its children at the end.
        if words != ["--adopt"]:
            notifying.start(folder)
        os._exit(0)
    if take_lock(folder / LOCK, LOCK_SECONDS) is None:
        sys.stderr.write("another supervisor holds this run\n")
        return 7
    os.chdir(home())
    # Handlers, not SIG_IGN: the child would inherit that.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: _stop(folder))
    if words == ["--adopt"]:
        adopt(folder)
    elif words[:1] == ["--queue"]:
        supervise_later(folder, [Path(word) for word in words[1:]])
    else:
        supervise(folder, words)
    return 0


def supervise(folder: Path, words: list[str]) -> None:
    """Start the run's command and write exit.json at its end."""
    token = str(read_json(folder / RUN).get("token", ""))
    _become_reaper()
    (folder / RESERVE).write_bytes(b"\0" * RESERVE_BYTES)
    began, killed = processes.uptime(), _oom_kills()
    child = _start(folder, words, token)
    if isinstance(child, int):
        _record(folder, began, code=child)
        return
    leader = processes.identify(child.pid)
    _write_launch(folder, leader, began)
    escalation = Escalation(folder, leader, token)
    while not _has_ended(child):
        escalation.pursue()
        time.sleep(POLL_SECONDS)
    # The child is still a zombie: its group's number cannot be anyone else's yet.
    processes.kill_family(leader, token, os.getpid())
    _record(folder, began, code=child.wait(), oom=_oom_kills() > killed)


def supervise_later(folder: Path, before: list[Path]) -> None:
    """Start the run's command once the runs `before` have ended; a stop ends it before its turn."""
    began = processes.uptime()

    def note(left: Sequence[Path]) -> None:
        row = {"waits_for": [str(path) for path in left], "uptime": began}
        write_atomic(folder / LAUNCH, dump({**row, **_own_place()}))

    if queue.wait_for_turn(folder, before, note):
        supervise(folder, [])
    else:
        _record(folder, began, code=STOPPED_EXIT)


def _start(folder: Path, words: list[str], token: str) -> subprocess.Popen[bytes] | int:
    """The child, leader of its own session and group, or the exit code that a shell would give."""
    run = read_json(folder / RUN)
    recorded = run.get("argv")
    command = [*map(str, recorded[1:] if isinstance(recorded, list) else []), *words]
    argv = [*_program(run), *command]
    with (folder / LOG).open("ab") as log:
        try:
            child = subprocess.Popen(
                argv,
                env={
                    **notifying.without_addresses(os.environ),
                    "TUNEBOARD_RUN": str(folder),
                    processes.TOKEN: token,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.write(f"{argv[0]} could not be started: {error}\n".encode())
            return 127 if isinstance(error, FileNotFoundError) else 126
    with contextlib.suppress(OSError):
        (processes.PROC / str(child.pid) / "oom_score_adj").write_text(OOM_SCORE)
    return child


def adopt(folder: Path) -> None:
    """Watch a child that is not ours to its end; code and signal stay unknown (null)."""
    launch = read_json(folder / LAUNCH)
    leader = Process.from_json(launch.get("child"))
    if leader is None or launch.get("boot_id") != processes.boot_id() or (folder / EXIT).exists():
        return
    token = str(read_json(folder / RUN).get("token", ""))
    write_atomic(
        folder / LAUNCH, dump({**launch, "supervisor": processes.identify(os.getpid()).to_json()})
    )
    escalation = Escalation(folder, leader, token)
    while processes.is_alive(leader, token):
        escalation.pursue()
        time.sleep(POLL_SECONDS)
    processes.kill_family(leader, token)
    began = launch.get("uptime")
    _record(folder, began if isinstance(began, int | float) else processes.uptime())


class Escalation:
    """A stop: graceful for stop.json's grace, then SIGTERM, then SIGKILL to all of the run."""

    def __init__(self, folder: Path, leader: Process, token: str) -> None:
        self.folder = folder
        self.leader = leader
        self.token = token
        self._asked = self._terminated = 0.0

    def pursue(self) -> None:
        """Do what is due now."""
        if not (self.folder / STOP).exists():
            return
        now = time.monotonic()
        self._asked = self._asked or now
        grace = read_json(self.folder / STOP).get("grace")
        wait = grace if isinstance(grace, int | float) else DEFAULT_GRACE
        if not self._terminated and now >= self._asked + wait:
            self._terminated = now
            self._log("does not end by itself: SIGTERM")
            processes.signal_family(self.leader, self.token, signal.SIGTERM)
        elif self._terminated and now >= self._terminated + _term_seconds():
            self._log("does not end on SIGTERM: SIGKILL")
            processes.kill_family(self.leader, self.token)

    def _log(self, text: str) -> None:
        sys.stderr.write(f"{_now()} the run {text}\n")
        sys.stderr.flush()


def _stop(folder: Path) -> None:
    """SIGTERM to us (a shutdown of the machine, most often) is a request to stop the run."""
    with contextlib.suppress(OSError):
        request_stop(folder)


def _program(run: dict[str, object]) -> list[str]:
    """What does the work: this package; tests put another program in its place."""
    other = os.environ.get("TUNEBOARD_WORKER")
    if other:
        return shlex.split(other)
    count = (
        devices.group(Arguments.from_known(run.get("arguments")))
        if run.get("kind") == "train"
        else 0
    )
    module = ["backend.running.group", str(count)] if count else ["backend"]
    return [sys.executable, "-P", "-m", *module]


def _write_launch(folder: Path, leader: Process, began: float) -> None:
    row = {"child": leader.to_json(), "uptime": began, **_own_place()}
    write_atomic(folder / LAUNCH, dump(row))


def _own_place() -> dict[str, object]:
    """Who watches the run, and since which start of the machine its process ids count."""
    supervisor = processes.identify(os.getpid()).to_json()
    return {"supervisor": supervisor, "boot_id": processes.boot_id()}


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child has ended; it stays a zombie. Orphans that fell to us are reaped."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return child.poll() is not None
    while True:
        child_info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if child_info is None:
            return False
        if child_info.si_pid == child.pid:
            return True
        os.waitpid(child_info.si_pid, 0)


def _record(folder: Path, began: float, *, code: int | None = None, oom: bool = False) -> None:
    """Write exit.json, in the room kept for it where the disk is full.

    `code` is negative for a signal. max_rss is that of the largest process of the run, in bytes.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    stopped = (folder / STOP).exists()
    row = {
        "code": code if code is not None and code >= 0 else None,
        "signal": -code if code is not None and code < 0 else None,
        "out_of_memory": oom and bool(code) and not stopped,
        "stopped": stopped,
        "max_rss": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit,
        "seconds": round(processes.uptime() - began, 3),
        "ended": _now(),
        "boot_id": processes.boot_id(),
    }
    (folder / RESERVE).unlink(missing_ok=True)
    write_atomic(folder / EXIT, dump(row))


def _become_reaper() -> None:
    """Have processes of the run that lose their parent fall to us, not to init (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def _oom_kills() -> int:
    """How often the kernel has killed in our control group for want of memory; 0 where not told."""
    for path in _memory_files():
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
        if counts and counts[0].isdigit():
            return int(counts[0])
    return 0


def _memory_files() -> list[Path]:
    """Where the count may stand: cgroup v2, v1, and both as seen from inside a container."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = {names: path.lstrip("/") for _, names, path in (line.split(":", 2) for line in lines)}
    v1, v2 = groups.get("memory", ""), groups.get("", "")
    return [
        root / v2 / "memory.events",
        root / "memory" / v1 / "memory.oom_control",
        root / "memory" / "memory.oom_control",
    ]


def _term_seconds() -> float:
    try:
        return float(os.environ.get(TERM_SECONDS, ""))
    except ValueError:
        return 10.0


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
