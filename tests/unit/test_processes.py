"""Who a process is: the same numbers for everyone who asks, whatever the clock does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.contract.system import processes
from backend.contract.system.processes import TOKEN, Process

BEGIN = "import sys; print('begun', flush=True); "
WAIT = "sys.stdin.read()"
OVERWRITE = """
import ctypes
field = open("/proc/self/stat").read().rpartition(")")[2].split()
begin, end = int(field[47]), int(field[48])  # env_start, env_end of proc(5)
ctypes.memmove(begin, b"worker 1 of 2".ljust(end - begin, b"\\0"), end - begin)
"""


def begin(code: str = "", token: str = "") -> subprocess.Popen[str]:
    """A process that has done `code` and waits for the end of its input."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{BEGIN}{WAIT}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, TOKEN: token},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A living process with a token."""
    with begin(token="abc") as process:
        yield process
        process.kill()


def field_22(pid: int) -> int:
    """The start time as launch.json has always held it, see proc(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_start_times_are_those_of_earlier_versions(child: subprocess.Popen[str]) -> None:
    """Earlier versions read the number from /proc; a run that one of them started is recognized."""
    starts = []
    for pid in psutil.pids():
        identity = processes.identify(pid)
        if identity.started and Path(f"/proc/{pid}").exists():
            starts.append((identity.started, field_22(pid)))
    assert len(starts) > 2
    assert all(ours == theirs for ours, theirs in starts)
    written = Process.from_json({"pid": child.pid, "started": field_22(child.pid)})
    assert written is not None
    assert processes.is_alive(written, "abc")


@pytest.mark.parametrize("step", [3600.0, -1.0])
def test_a_clock_that_is_set(
    step: float, child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the boot moves with the clock, also between two questions of ours."""
    before = processes.identify(child.pid)
    boot = psutil.boot_time()
    answers = iter([boot + step])
    monkeypatch.setattr(psutil, "boot_time", lambda: next(answers, boot))
    assert processes.identify(child.pid) == before
    assert next(answers, None) is None
    # set for good: psutil's own time of creation moves as much
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + step)
    created = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + step)
    assert processes.is_alive(before, "abc")


def test_another_start_time_is_another_process(child: subprocess.Popen[str]) -> None:
    """The pid was used again: nothing is alive, nothing is signalled."""
    identity = processes.identify(child.pid)
    other = Process(child.pid, identity.started + 1)
    assert processes.is_alive(identity)
    assert not processes.is_alive(other)
    assert not processes.send(other, signal.SIGKILL)
    assert processes.family(other, "") == []
    assert child.poll() is None


def test_who_is_gone() -> None:
    """A process that has ended and been waited for has no identity, and nothing is alive there."""
    with begin() as child:
        identity = processes.identify(child.pid)
        child.kill()
    assert processes.identify(child.pid) == Process(child.pid, 0)
    assert not processes.is_alive(identity)
    assert not processes.send(identity, signal.SIGTERM)


def test_a_token_that_cannot_be_read() -> None:
    """A title written over the environment leaves a run's process alive.

    The twin without such a title shows that another token is told from none that can be read.
    """
    for code, known in (("", False), (OVERWRITE, True)):
        with begin(code, token="of another run") as child:
            assert processes.is_alive(processes.identify(child.pid), "abc") is known
            child.kill()


def test_signals_without_a_handle(
    child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no pidfd, the start time still says who is meant."""
    monkeypatch.delattr(os, "pidfd_open")
    identity = processes.identify(child.pid)
    assert not processes.send(Process(child.pid, identity.started + 1), signal.SIGKILL)
    assert child.poll() is None
    assert processes.send(identity, signal.SIGKILL)
    assert child.wait(5) == -signal.SIGKILL
    assert not processes.send(identity, signal.SIGKILL)


def test_psutil_comes_with_the_first_question() -> None:
    """`tuneboard --help` starts without it; a process that is asked about brings it in."""
    probe = (
        "import sys; from backend.contract.system import processes; {}"
        "print('psutil' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", probe.format(question)], capture_output=True, text=True
        ).stdout.strip()
        for question in ("", "processes.identify(1); ")
    ]
    assert answers == ["False", "True"]
