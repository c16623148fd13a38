"""R-08, R-09, R-10, R-12, R-14: a stop ends all of a run, once, and nothing else."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.contract.launching import launch
from backend.contract.runs import run_folder, stalls
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.system.files import read_json
from backend.contract.system.processes import Process
from tests.failures.conftest import ended, members, process, running, until


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of our business."""
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def rewrite(folder: Path, **given: object) -> None:
    """Change launch.json."""
    row = {**read_json(folder / "launch.json"), **given}
    (folder / "launch.json").write_text(json.dumps(row))


def test_graceful(begin: Callable[..., Path]) -> None:
    """The child saves and ends by itself; no signal is needed."""
    folder = begin("--steps 500 --sleep 0.02")
    running(folder, step=2)
    assert launch.stop(folder)
    assert run_folder.read(folder).state in {State.STOPPING, State.STOPPED}
    view = ended(folder)
    assert (view.state, view.reason) == (State.STOPPED, None)
    assert run_folder.checkpoints(folder)[-1].step == view.step
    assert "SIGTERM" not in (folder / "supervisor.log").read_text()


@pytest.mark.parametrize("trouble", ["--sigterm ignore", "stopped", ""])
def test_forced(trouble: str, begin: Callable[..., Path]) -> None:
    """R-08: ignores SIGTERM, or hangs (SIGSTOP): SIGKILL ends it, and its grandchild.

    One that only ignores stop.json ends on SIGTERM: the harder step is not taken without need.
    """
    options = trouble if trouble.startswith("--") else ""
    folder = begin(f"--steps 5000 --sleep 0.02 --ignore-stop --grandchild {options}")
    running(folder, step=2)
    assert len(members(folder)) == 2
    if trouble == "stopped":
        assert processes.send(process(folder, "child"), signal.SIGSTOP)
    assert launch.stop(folder, grace=0.3)
    view = ended(folder)
    assert view.state is State.STOPPED
    assert view.reason is not None
    assert view.reason.code == "run_stopped_hard"
    assert members(folder) == []
    assert ("SIGKILL" in (folder / "supervisor.log").read_text()) == bool(trouble)


def test_many_stops_are_one(begin: Callable[..., Path]) -> None:
    """R-09: twenty at once: one counts; after the end there is nothing to stop."""
    folder = begin("--steps 500 --sleep 0.02")
    running(folder)
    done: list[bool] = []
    barrier = threading.Barrier(20)

    def press() -> None:
        barrier.wait()
        done.append(launch.stop(folder))

    threads = [threading.Thread(target=press) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 19 + [True]
    assert ended(folder).state is State.STOPPED
    assert launch.stop(folder) is False


def test_stop_of_an_ended_run(begin: Callable[..., Path]) -> None:
    folder = begin()
    assert ended(folder).state is State.SUCCEEDED
    assert launch.stop(folder) is False
    assert not (folder / "stop.json").exists()


def test_sigterm_to_the_supervisor_asks_for_a_stop(begin: Callable[..., Path]) -> None:
    """A shutdown of the machine sends it to every process."""
    folder = begin("--steps 500 --sleep 0.02")
    running(folder)
    assert processes.send(process(folder, "supervisor"), signal.SIGTERM)
    assert ended(folder).state is State.STOPPED


def test_the_supervisor_is_killed(begin: Callable[..., Path]) -> None:
    """R-10: the run goes on, unsupervised; how it ended is not known, never 'succeeded'."""
    folder = begin("--steps 60 --sleep 0.02")
    running(folder)
    assert processes.send(process(folder, "supervisor"), signal.SIGKILL)
    until(lambda: run_folder.read(folder).unsupervised)
    assert run_folder.read(folder).state is State.RUNNING
    view = ended(folder)
    assert view.state is State.KILLED
    assert view.reason is not None
    assert view.reason.code == "run_vanished"
    assert view.step == 60


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ("", State.SUCCEEDED, None),
        ("--crash-at 40 --code 5", State.OUT_OF_MEMORY, "out_of_memory"),
        ("--crash-at 40 --code 3 --problem no_rows_left", State.FAILED, "no_rows_left"),
    ],
)
def test_the_child_has_the_last_word(
    options: str, state: State, reason: str | None, begin: Callable[..., Path]
) -> None:
    """A run of 40 steps whose supervisor was killed at step 2 reached the last, saved all and was
    shown as KILLED. What the child noted when its work was over counts."""
    folder = begin(f"--steps 40 --sleep 0.02 --last-word {options}")
    running(folder, step=2)
    assert processes.send(process(folder, "supervisor"), signal.SIGKILL)
    view = ended(folder)
    assert not (folder / "exit.json").exists()
    assert (view.state, view.step) == (state, 40)
    assert (view.reason.code if view.reason else None) == reason
    assert run_folder.exit_code(folder) == {"SUCCEEDED": 0, "OUT_OF_MEMORY": 5}.get(state.value, 3)


def test_the_last_word_after_a_stop_without_a_supervisor(begin: Callable[..., Path]) -> None:
    """The new supervisor cannot see the code either: STOPPED is what the child says, no guess."""
    folder = begin("--steps 5000 --sleep 0.02 --last-word")
    running(folder, step=2)
    assert processes.send(process(folder, "supervisor"), signal.SIGKILL)
    until(lambda: run_folder.read(folder).unsupervised)
    assert launch.stop(folder)
    until(lambda: (folder / "exit.json").exists())
    view = run_folder.read(folder)
    assert (view.state, view.reason) == (State.STOPPED, None)
    assert run_folder.exit_code(folder) == 20


def test_a_process_that_stands_still_is_said_to(
    begin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: the state stays RUNNING, since it may go on, but what it was doing is said, and that
    it stands still; SIGCONT ends that. A child that lives and is silent is told, too."""
    folder = begin("--steps 200 --sleep 0.02")
    running(folder, step=2)
    child = process(folder, "child")
    assert run_folder.read(folder).stalls == ()
    monkeypatch.setattr(stalls, "PAUSED_SECONDS", 0.2)
    assert processes.send(child, signal.SIGSTOP)
    until(lambda: run_folder.read(folder).stalls)
    view = run_folder.read(folder)
    assert view.state is State.RUNNING
    assert [each.code for each in view.stalls] == ["run_silent_training", "run_paused"]
    assert view.stalls[0].params["step"] == view.step
    assert view.stalls[0].params["total"] == 200
    assert view.stalls[1].params["pid"] == child.pid
    assert processes.send(child, signal.SIGCONT)
    until(lambda: not run_folder.read(folder).stalls)
    assert ended(folder).stalls == ()


@pytest.mark.parametrize("options", ["", "--ignore-stop --sigterm ignore --grandchild"])
def test_stop_without_a_supervisor(options: str, begin: Callable[..., Path]) -> None:
    """R-10: a new supervisor adopts the run and sees to its end, by force where it must."""
    folder = begin(f"--steps 5000 --sleep 0.02 {options}")
    running(folder, step=2)
    assert processes.send(process(folder, "supervisor"), signal.SIGKILL)
    until(lambda: run_folder.read(folder).unsupervised)
    assert launch.stop(folder, grace=0.3)
    # its child may be gone before the new supervisor holds the run: for a moment nobody has it
    until(lambda: run_folder.read(folder).state is State.STOPPED)
    assert members(folder) == []


def test_after_a_reboot(begin: Callable[..., Path], innocent: subprocess.Popen[bytes]) -> None:
    """R-12: another boot id means LOST, though a process with that pid and start is there."""
    folder = begin()
    ended(folder)
    (folder / "exit.json").unlink()
    stranger = processes.identify(innocent.pid).to_json()
    rewrite(folder, boot_id="of another day", child=stranger, supervisor=stranger)
    assert run_folder.read(folder).state is State.LOST
    assert launch.stop(folder, grace=0) is False
    with pytest.raises(subprocess.TimeoutExpired):
        innocent.wait(0.3)


@pytest.mark.parametrize("same_start", [False, True])
def test_a_pid_that_was_used_again(
    same_start: bool, begin: Callable[..., Path], innocent: subprocess.Popen[bytes]
) -> None:
    """R-12: the pid of the child is now a stranger's; even with its start time the token tells."""
    folder = begin()
    ended(folder)
    (folder / "exit.json").unlink()
    stranger = processes.identify(innocent.pid)
    started = stranger.started - (0 if same_start else 1)
    rewrite(folder, child={"pid": innocent.pid, "started": started}, supervisor={"pid": 999999})
    assert run_folder.read(folder).state is State.KILLED
    assert launch.stop(folder, grace=0) is False
    token = str(read_json(folder / "run.json")["token"])
    assert processes.signal_family(Process(innocent.pid, started), token, signal.SIGKILL) == 0
    if not same_start:
        assert not processes.send(Process(innocent.pid, started), signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        innocent.wait(0.1)


def test_the_right_identity_is_signalled(innocent: subprocess.Popen[bytes]) -> None:
    """The twin of the tests above: the signal does arrive where it is meant to."""
    assert processes.send(processes.identify(innocent.pid), signal.SIGKILL)
    assert innocent.wait(5) == -signal.SIGKILL


def test_a_zombie_is_not_alive() -> None:
    """R-14: its pid still answers, which is all that a naive check would ask."""
    child = subprocess.Popen(["true"])
    identity = processes.identify(child.pid)
    until(lambda: not processes.is_alive(identity))
    os.kill(child.pid, 0)
    child.wait()
