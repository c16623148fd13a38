"""Real supervisors and fake trainers in a working folder of their own; nothing outlives a test."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.field import Value, Values
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView, State
from backend.contract.system import processes
from backend.contract.system.files import read_json
from backend.contract.system.processes import Process
from backend.contract.texts.problems import RunFolderError

TRAINER = Path(__file__).parents[1] / "fakes" / "trainer.py"


def values(**given: Value) -> Values:
    """What a run needs, and what is given."""
    chosen: Values = {"model_name_or_path": "org/model", "dataset": "identity"}
    return {**arguments.defaults("train"), **chosen, **given}


def fake(options: str = "") -> str:
    """The fake trainer as TUNEBOARD_WORKER."""
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(TRAINER))} {options}"


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serving(
    home: Path, words: list[str], errors: IO[bytes] | None = None, **environ: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A page with a working folder of its own, once it is ready, and its port.

    `words` start it, with the port after them; `errors` takes what it says of itself.
    """
    port = free_port()
    known = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}
    child = subprocess.Popen(
        [sys.executable, *words, "--port", str(port)],
        env={**known, "TUNEBOARD_HOME": str(home), **environ},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert child.stdout is not None
    assert str(port) in child.stdout.readline()
    yield child, port
    child.terminate()
    child.wait(30)


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition; fail after so many seconds."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def ended(folder: Path, seconds: float = 20.0) -> RunView:
    """The run once it is over."""
    until(lambda: run_folder.read(folder).ended, seconds)
    return run_folder.read(folder)


def running(folder: Path, step: int = 1) -> RunView:
    """The run once its child has reached a step and its supervisor has written down who runs.

    A child that does next to nothing before its first step may be ahead of its supervisor.
    """

    def view() -> RunView | None:
        view = run_folder.read(folder)
        return view if view.step >= step and view.state is State.RUNNING else None

    until(view)
    return run_folder.read(folder)


def process(folder: Path, who: str) -> Process:
    """The child or the supervisor of a run."""
    found = Process.from_json(read_json(folder / run_folder.LAUNCH)[who])
    assert found is not None
    return found


def members(folder: Path) -> list[Process]:
    """Every living process of a run but its supervisor."""
    row = read_json(folder / run_folder.LAUNCH).get("child")
    token = str(read_json(folder / run_folder.RUN)["token"])
    return processes.family(Process.from_json(row) or Process(0), token)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; forced stops do not take ten seconds here."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setenv("TUNEBOARD_TERM_SECONDS", "0.3")
    monkeypatch.setenv("TUNEBOARD_WORKER", fake())
    yield tmp_path
    for file in tmp_path.rglob("run.json"):
        for each in members(file.parent):
            processes.send(each, 9)
        supervisor = Process.from_json(read_json(file.parent / "launch.json").get("supervisor"))
        if supervisor:
            processes.send(supervisor, 9)


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Start a run of the fake trainer with these options."""

    def start(options: str = "", **given: Value) -> Path:
        monkeypatch.setitem(os.environ, "TUNEBOARD_WORKER", fake(options))
        return launch.start("train", values(**given))

    return start


def first_code(error: pytest.ExceptionInfo[RunFolderError]) -> str:
    """The code of the first problem of an error."""
    return error.value.problems[0].code
