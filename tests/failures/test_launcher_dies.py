"""R-01, R-02: whatever happens to the page or terminal that started a run, the run goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.folders.home import saves
from backend.contract.runs import metrics, run_folder, states
from backend.contract.runs.run_folder import State
from tests.failures.conftest import ended, fake, process, running, until

# A page: starts a run where there is none, says what it sees, lives on. `sleep` shares its group.
PAGE = """
import subprocess, sys, time
from backend.contract.arguments import arguments
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.folders.home import saves
bystander = subprocess.Popen(["sleep", "60"])
if sys.argv[1] == "start":
    given = {"model_name_or_path": "org/model", "dataset": "identity"}
    values = {**arguments.defaults("train"), **given}
    launch.start("train", values)
while True:
    for view in run_folder.runs(saves()):
        print(view.path, view.state.value, bystander.pid, flush=True)
    time.sleep(0.02)
"""


def page(act: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", PAGE, act]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)


def seen(process: subprocess.Popen[str]) -> tuple[Path, State, int]:
    """The first line that a page says."""
    assert process.stdout is not None
    path, state, bystander = process.stdout.readline().split()
    return Path(path), State(state), int(bystander)


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    os.killpg(process.pid, number)
    process.wait(5)
    assert process.stdout is not None
    process.stdout.close()


def test_the_page_is_killed_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-01: 20 pages die at random moments; the run has every step, once, and ends well."""
    monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 200 --sleep 0.02"))
    chance = random.Random(1)
    first = page("start")
    folder, _, _ = seen(first)
    end(first)
    before = process(folder, "child") if (folder / "launch.json").exists() else None
    found = []
    for _ in range(19):
        other = page("look")
        began = time.monotonic()
        path, state, _ = seen(other)
        assert time.monotonic() - began < 5
        assert path == folder
        found.append(state)
        time.sleep(chance.random() * 0.1)
        end(other)
    assert State.RUNNING in found
    assert set(found) <= {State.STARTING, State.RUNNING, State.SUCCEEDED}
    view = ended(folder)
    rows, _ = metrics.read(folder / "metrics.jsonl")
    assert view.state is State.SUCCEEDED
    assert [row.step for row in rows] == list(range(1, 201))
    assert before in (None, process(folder, "child"))


def test_the_page_is_killed_while_it_starts_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R-01: at any moment of a launch; what was begun ends, and nothing seems to start for ever."""
    monkeypatch.setattr(states, "START_SECONDS", 2.0)
    homes = [tmp_path / str(number) for number in range(8)]
    pages = []
    for home in homes:
        home.mkdir()
        monkeypatch.setenv("TUNEBOARD_HOME", str(home))
        pages.append(page("start"))
    time.sleep(0.2)
    for each in pages:
        end(each)
        time.sleep(0.08)
    for home in homes:
        for file in home.rglob("run.json"):
            view = ended(file.parent)
            never = view.reason is not None and view.reason.code == "run_never_started"
            assert view.state is State.SUCCEEDED or never, view


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_launchers_group(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-02: Ctrl-C, a closed terminal. The bystander in the same group shows that it was real."""
    monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 40 --sleep 0.02"))
    launcher = page("start")
    folder, _, bystander = seen(launcher)
    running(folder)
    end(launcher, number)
    until(lambda: not Path(f"/proc/{bystander}").exists() or _zombie(bystander))
    assert ended(folder).state is State.SUCCEEDED
    assert len(run_folder.runs(saves())) == 1


def _zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_no_zombie_is_left_to_the_launcher(begin: Callable[..., Path]) -> None:
    """The supervisor is no child of whoever started it, so nobody has to wait for it."""
    folder = begin("--steps 20 --sleep 0.05")
    running(folder)
    supervisor = process(folder, "supervisor")
    stat = Path(f"/proc/{supervisor.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid()
    assert os.getsid(supervisor.pid) != os.getsid(0)
    ended(folder)
    until(lambda: not Path(f"/proc/{supervisor.pid}").exists())
