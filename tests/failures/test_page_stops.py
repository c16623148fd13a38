"""A page that is told so takes its runs along, as at the end of a container."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.texts.locales import t
from backend.contract.texts.problems import STOPPED_EXIT
from tests.failures.conftest import ended, fake, free_port, members, process, running, until

ROOT = Path(__file__).parents[2]


@contextmanager
def page(*options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A page once it is ready."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-m", "backend", "webui", "--port", str(port), *options],
        env={**os.environ, "PYTHONPATH": path, **environ},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout is not None
    try:
        assert started.stdout.readline() == t("webui.ready", url=f"http://127.0.0.1:{port}") + "\n"
        yield started
    finally:
        started.kill()
        started.wait(5)
        started.stdout.close()


def test_the_end_of_the_page_stops_its_runs(begin: Callable[..., Path]) -> None:
    """Both runs save and end by themselves, the page after them; one of them then goes on."""
    folders = [begin("--steps 5000 --sleep 0.02") for _ in range(2)]
    for folder in folders:
        running(folder, step=2)
    with page(TUNEBOARD_STOP_RUNS="1") as child:
        child.terminate()
        assert child.stdout is not None
        said = child.stdout.read()
        assert child.wait(60) == 0
    stopped = t("state.STOPPED")
    for folder in folders:
        view = run_folder.read(folder)
        assert (view.state, view.reason) == (State.STOPPED, None)
        assert run_folder.checkpoints(folder)[-1].step == view.step
        assert t("webui.stopping", run=str(folder)) in said
        assert t("webui.run_ended", run=str(folder), state=stopped) in said
    assert said.count("\n") == 4
    step = run_folder.read(folders[0]).step
    launch.resume(folders[0])
    assert running(folders[0], step + 2).step > step


def test_a_second_signal_ends_the_wait(begin: Callable[..., Path]) -> None:
    """A run that does not listen is named, and goes on until its grace is over."""
    folder = begin("--steps 5000 --sleep 0.02 --ignore-stop")
    running(folder, step=2)
    with page("--stop-runs") as child:
        child.terminate()
        assert child.stdout is not None
        assert child.stdout.readline() == t("webui.stopping", run=str(folder)) + "\n"
        child.terminate()
        assert child.stdout.read() == t("webui.still_running", run=str(folder)) + "\n"
        assert child.wait(30) == 0
    assert run_folder.read(folder).state is State.STOPPING


def test_a_command_that_is_ended_stops_its_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run IMAGE train ...`, too: what the container runs is not the page there."""
    monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 5000 --sleep 0.02"))
    words = ["train", "--model_name_or_path", "org/model", "--dataset", "identity"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "backend", *words, "--output_dir", "saves/m/lora/long"],
        env={**os.environ, "PYTHONPATH": path, launch.STOP_RUNS: "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as command:
        folder = home / "saves/m/lora/long"
        until(lambda: (folder / run_folder.LAUNCH).is_file(), 40)
        running(folder, step=2)
        command.terminate()
        assert command.wait(60) == STOPPED_EXIT
    assert run_folder.read(folder).state is State.STOPPED


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_that_was_killed_with_its_container(begin: Callable[..., Path], asked: bool) -> None:
    """Everything is gone at once and the machine has not been started anew: boot_id is the same,
    and in a container the pids soon belong to others. The state is that of a run that has ended,
    and it goes on from its checkpoint."""
    folder = begin("--steps 5000 --sleep 0.02 --save-every 2 --ignore-stop")
    running(folder, step=4)
    if asked:
        launch.stop(folder)
    supervisor, child = process(folder, "supervisor"), process(folder, "child")
    processes.send(supervisor, signal.SIGKILL)
    for each in (child, *members(folder)):
        processes.send(each, signal.SIGKILL)
    until(lambda: not processes.is_alive(child))
    view = ended(folder)
    states = {False: (State.KILLED, "run_vanished"), True: (State.STOPPED, "run_stopped_unwatched")}
    assert (view.state, view.reason and view.reason.code) == states[asked]
    # The pids are others' now: this very test's process, which was started at another time.
    launched = run_folder.LAUNCH
    text = (folder / launched).read_text()
    for each in (supervisor, child):
        text = text.replace(f'"pid": {each.pid}', f'"pid": {os.getpid()}')
    (folder / launched).write_text(text)
    assert text.count(str(os.getpid())) == 2
    assert run_folder.read(folder).state is states[asked][0]
    resumable = run_folder.resumption(run_folder.read(folder))
    assert resumable is not None
    assert resumable.code == "run_resumable"
