"""The Tuner with real supervisors: what fails, is interrupted, or outlives the Python process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.folders.home import saves
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView, State
from backend.contract.system.files import read_json
from backend.contract.texts.problems import (
    DataError,
    ModelError,
    OutOfMemoryError,
    RunFolderError,
    TuneboardError,
)
from backend.tuner import TrainResult, Tuner
from tests.failures.conftest import ended, fake, running, until

ROWS = [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}]
SECRET = "hf_" + "s3cret" * 5


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Choose what the fake trainer does."""
    return lambda options: monkeypatch.setenv("TUNEBOARD_WORKER", fake(options))


def runs() -> list[RunView]:
    """What the page lists."""
    return run_folder.runs(saves())


def test_a_training_is_a_run_like_any_other(
    worker: Callable[[str], None], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In saves/, listed, with its command; the token reaches the child and no file."""
    worker("--steps 4")
    tuner = Tuner("org/model", hf_hub_token=SECRET)
    result = tuner.train(train_data=ROWS, num_train_epochs=2)
    assert (result.state, result.step, result.total_steps) == ("SUCCEEDED", 4, 4)
    assert [row["step"] for row in result.log_history] == [1, 2, 3, 4]
    (view,) = runs()
    assert view.path == result.folder == tuner.run
    assert view.path.parent == home / "saves" / "model" / "lora"
    assert view.arguments.num_train_epochs == 2.0
    told = capsys.readouterr()
    assert "step 4 / 4" in told.err
    assert SECRET not in told.err + told.out + repr(tuner) + repr(result)
    files = [file for file in home.rglob("*") if file.is_file() and file.name != "log.txt"]
    assert len(files) > 8
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ("--crash-at 2 --code 3 --problem nothing_to_evaluate", DataError, "nothing_to_evaluate"),
        ("--crash-at 2 --code 4", ModelError, "run_failed"),
        ("--crash-at 2 --code 5", OutOfMemoryError, "out_of_memory"),
        ("--crash-at 2 --die 9", TuneboardError, "run_killed"),
    ],
)
def test_a_run_that_fails_raises_its_reason(
    options: str, kind: type[TuneboardError], code: str, worker: Callable[[str], None]
) -> None:
    worker(f"--steps 9 {options}")
    with pytest.raises(TuneboardError) as caught:
        Tuner("org/model").train("identity")
    assert type(caught.value) is kind
    assert caught.value.problems[0].code == code
    assert any("log.txt" in note for note in caught.value.__notes__)


def test_an_interrupt_stops_gracefully_and_resume_goes_on(worker: Callable[[str], None]) -> None:
    """Ctrl-C, or the notebook's stop button: a checkpoint, then the result; no exception."""
    worker("--steps 400 --sleep 0.02")
    interrupted = threading.Thread(target=_interrupt_at_step_2)
    interrupted.start()
    tuner = Tuner("org/model")
    result = tuner.train("identity")
    interrupted.join()
    assert result.state == "STOPPED"
    assert run_folder.checkpoints(result.folder)[-1].step == result.step
    worker(f"--steps {result.step + 2}")
    again = Tuner("org/model").resume(result.folder.name)
    assert (again.folder, again.state) == (result.folder, "SUCCEEDED")
    assert again.step == result.step + 2
    assert (result.folder / "attempts").is_dir()


def _interrupt_at_step_2() -> None:
    until(lambda: any(view.step >= 2 for view in runs()), 60)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_interrupt_leaves_the_run(
    worker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker("--steps 4000 --sleep 0.02 --ignore-stop")
    monkeypatch.setenv("TUNEBOARD_TERM_SECONDS", "60")

    def twice() -> None:
        _interrupt_at_step_2()
        until(lambda: any(view.state is State.STOPPING for view in runs()), 60)
        os.kill(os.getpid(), signal.SIGINT)

    interrupted = threading.Thread(target=twice)
    interrupted.start()
    with pytest.raises(KeyboardInterrupt):
        Tuner("org/model").train("identity")
    interrupted.join()
    (view,) = runs()
    assert view.state is State.STOPPING


def test_a_run_survives_the_kernel(home: Path, worker: Callable[[str], None]) -> None:
    """The process that called train is killed: the run ends by itself, and is found again."""
    worker("--steps 60 --sleep 0.05")
    code = "from backend.tuner import Tuner; Tuner('org/model').train('identity')"
    kernel = subprocess.Popen([sys.executable, "-c", code], cwd=home, stderr=subprocess.DEVNULL)
    until(lambda: any(view.step >= 1 for view in runs()), 60)
    kernel.kill()
    kernel.wait()
    (view,) = runs()
    assert not view.ended
    assert ended(view.path, 60).state is State.SUCCEEDED


def test_without_waiting(worker: Callable[[str], None]) -> None:
    worker("--steps 100 --sleep 0.02")
    tuner = Tuner("org/model")
    first = tuner.train("identity", wait=False)
    assert first.state in {"STARTING", "RUNNING"}
    running(first.folder)
    for call in (lambda: tuner.evaluate("identity"), tuner.resume):
        with pytest.raises(RunFolderError) as caught:
            call()
        assert caught.value.problems[0].code == "run_going_on"
    assert tuner.wait().state == "SUCCEEDED"
    assert TrainResult.read(first.folder).step == 100


def test_no_other_environment_reaches_the_command_line(
    worker: Callable[[str], None], home: Path
) -> None:
    """The token is in the environment of the run's child alone, not in the words of any process."""
    worker("--steps 200 --sleep 0.02")
    tuner = Tuner("org/model", hf_hub_token=SECRET)
    folder = tuner.train("identity", wait=False).folder
    running(folder)
    lines = [_content(file) for file in Path("/proc").glob("[0-9]*/cmdline")]
    child = read_json(folder / run_folder.LAUNCH)["child"]
    assert isinstance(child, dict)
    assert len(lines) > 3
    assert not any(SECRET.encode() in line for line in lines)
    assert SECRET.encode() in _content(Path(f"/proc/{child['pid']}/environ"))
    tuner.wait()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has gone
        return b""
