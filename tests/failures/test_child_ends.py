"""R-05, R-06, R-07: however the child ends, the run says how."""

import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.system.files import read_json
from tests.failures.conftest import ended, members, process, running, values

HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
PAUSING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
CODES = {
    0: (State.SUCCEEDED, None),
    1: (State.FAILED, "run_failed"),
    2: (State.FAILED, "run_failed"),
    3: (State.FAILED, "run_failed"),
    5: (State.OUT_OF_MEMORY, "out_of_memory"),
    6: (State.FAILED, "run_disk_full"),
    20: (State.STOPPED, None),
    126: (State.FAILED, "run_not_executable"),
    127: (State.FAILED, "run_program_missing"),
    130: (State.FAILED, "run_failed"),
    137: (State.FAILED, "run_failed"),
    255: (State.FAILED, "run_failed"),
}


def start(worker: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_WORKER", worker)
    return launch.start("train", values())


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


def test_killed_from_outside(begin: Callable[..., Path]) -> None:
    """R-05: within two seconds the run is KILLED, by signal 9, and its checkpoint is there."""
    folder = begin("--steps 500 --sleep 0.02 --save-every 2")
    running(folder, step=3)
    assert processes.send(process(folder, "child"), signal.SIGKILL)
    view = ended(folder, seconds=2)
    assert view.state is State.KILLED
    assert view.reason is not None
    assert view.reason.params == {"signal": 9, "name": "SIGKILL"}
    assert run_folder.checkpoints(folder)[-1].step >= 2
    assert run_folder.exit_code(folder) == 137


def test_every_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-06: also SIGHUP, which Popen gives as -1, the value that others take for 'unknown'."""
    numbers = [n for n in range(1, 32) if n not in HARMLESS | PAUSING]
    folders = {n: start(shell(f"ulimit -c 0; kill -{n} $$"), monkeypatch) for n in numbers}
    assert signal.SIGHUP in folders
    assert len(folders) == 23
    for number, folder in folders.items():
        view = ended(folder)
        assert view.state is State.KILLED, number
        assert view.reason is not None
        assert view.reason.params["signal"] == number
        assert read_json(folder / "exit.json")["code"] is None


def test_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-06."""
    folders = {code: start(shell(f"exit {code}"), monkeypatch) for code in CODES}
    for code, folder in folders.items():
        view = ended(folder)
        reason = view.reason.code if view.reason else None
        assert (view.state, reason) == CODES[code], code
        assert run_folder.exit_code(folder) == code


def test_the_problem_is_the_reason(begin: Callable[..., Path]) -> None:
    view = ended(begin("--crash-at 2 --code 3 --problem no_checkpoint"))
    assert view.state is State.FAILED
    assert view.reason is not None
    assert view.reason.code == "no_checkpoint"
    assert view.step == 2


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("missing", 127, "No such file"),
        ("folder", 126, "Permission denied"),
        ("not executable", 126, "Permission denied"),
        ("not a program", 126, "Exec format error"),
        ("missing interpreter", 127, "No such file"),
    ],
)
def test_cannot_be_started(
    kind: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-07: FAILED with the reason in the log, not 'starting' for ever."""
    program = tmp_path / "program"
    if kind == "folder":
        program.mkdir()
    elif kind != "missing":
        content = b"#!/no/such/interpreter\n" if kind == "missing interpreter" else b"\x00\x01"
        program.write_bytes(content)
        program.chmod(0o644 if kind == "not executable" else 0o755)
    folder = start(str(program), monkeypatch)
    view = ended(folder, seconds=5)
    assert view.state is State.FAILED
    assert run_folder.exit_code(folder) == code
    assert said in (folder / "log.txt").read_text()


def test_fails_before_it_writes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-07: an ImportError; standard error is in the log."""
    folder = start("python3 -c 'import no_such_module'", monkeypatch)
    assert ended(folder).state is State.FAILED
    assert "ModuleNotFoundError" in (folder / "log.txt").read_text()


def test_what_the_child_leaves_running_ends_with_it(begin: Callable[..., Path]) -> None:
    """A helper in a session of its own: no signal to the group would reach it."""
    folder = begin("--steps 30 --sleep 0.02 --grandchild")
    running(folder, step=2)
    child = process(folder, "child")
    others = [each for each in members(folder) if each != child]
    assert others
    assert all(os.getpgid(each.pid) != child.pid for each in others)
    assert ended(folder).state is State.SUCCEEDED
    assert members(folder) == []


def test_the_kernel_takes_the_child_first(begin: Callable[..., Path]) -> None:
    """R-11: the child's oom_score_adj is higher than that of its supervisor."""
    folder = begin("--steps 30 --sleep 0.02")
    running(folder)
    score = [
        int(Path(f"/proc/{process(folder, who).pid}/oom_score_adj").read_text())
        for who in ("child", "supervisor")
    ]
    assert score[0] >= 500 > score[1]
    ended(folder)


def test_a_lot_of_log_blocks_nobody(begin: Callable[..., Path]) -> None:
    """The log is a file: a child that says 20 MB to nobody is not held up, and ends."""
    folder = begin("--steps 2 --log-bytes 10000000")
    assert ended(folder).state is State.SUCCEEDED
    assert (folder / "log.txt").stat().st_size > 2 * 10**7
