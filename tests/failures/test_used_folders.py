"""A start in a folder that a run has used: that run is resumed, replaced, or left alone."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.folders.home import saves
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system.files import read_json
from backend.contract.texts.problems import RunFolderError
from tests.failures.conftest import ended, fake, first_code, running, until


def test_resume(begin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Same folder, newest checkpoint whose hashes hold; the old attempt's end is kept."""
    folder = begin("--steps 9 --save-every 2 --crash-at 7 --code 1")
    assert ended(folder).state is State.FAILED
    before = (folder / "run.json").read_bytes()
    (folder / "checkpoint-6" / "state.json").write_text('{"step": 7}')  # same size, other content
    monkeypatch.setenv(
        "TUNEBOARD_WORKER", os.environ["TUNEBOARD_WORKER"].replace("--crash-at 7 --code 1", "")
    )
    launch.resume(folder)
    until(
        lambda: (
            "step 5\n" in (folder / "log.txt").read_text()[-60:] or run_folder.read(folder).ended
        )
    )
    view = ended(folder)
    assert (view.state, view.step) == (State.SUCCEEDED, 9)
    assert (folder / "log.txt").read_text().count("step 4\n") == 1
    assert (folder / "log.txt").read_text().count("step 5\n") == 2
    assert (folder / "run.json").read_bytes() == before
    assert read_json(folder / "attempts" / "1" / "exit.json")["code"] == 1


def test_resume_is_refused(begin: Callable[..., Path]) -> None:
    folder = begin("--steps 100 --sleep 0.02")
    running(folder)
    with pytest.raises(RunFolderError) as error:
        launch.resume(folder)
    assert first_code(error) == "run_going_on"
    launch.stop(folder)
    ended(folder)
    for point in run_folder.checkpoints(folder):
        (point.path / "state.json").unlink()
    with pytest.raises(RunFolderError) as error:
        launch.resume(folder)
    assert first_code(error) == "no_checkpoint"
    assert run_folder.read(folder).state is State.STOPPED


def test_two_resumes_one_winner(begin: Callable[..., Path]) -> None:
    folder = begin("--steps 4 --save-every 2")
    ended(folder)
    errors: list[str] = []

    def press() -> None:
        try:
            launch.resume(folder)
        except RunFolderError as error:
            errors.append(error.problems[0].code)

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors in (["run_going_on"], [])
    assert ended(folder).state is State.SUCCEEDED
    count = len(list((folder / "attempts").iterdir()))
    assert count == 2 - len(errors)


def test_a_new_run_may_resume_in_its_own_folder(begin: Callable[..., Path]) -> None:
    """`tuneboard train --output_dir X --resume_from_checkpoint auto`, perhaps with more steps."""
    folder = begin("--steps 2 --save-every 2", output_dir="saves/m/lora/r")
    ended(folder)
    point = run_folder.checkpoints(folder)[0].path
    again = begin("--steps 4", output_dir="saves/m/lora/r", resume_from_checkpoint=str(point))
    assert again == folder
    assert ended(folder).step == 4
    assert read_json(folder / "attempts" / "1" / "run.json")
    assert (folder / "log.txt").read_text().count("step 1\n") == 1


def test_the_name_of_a_run_without_a_result_is_free(begin: Callable[..., Path], home: Path) -> None:
    """A tutorial's next step after a failure is the same output name again. The folder goes to the
    trash, which the new run says; a checkpoint, a result or a run that goes on keep the name."""
    folder = begin("--steps 3 --crash-at 2 --code 3", output_dir="saves/m/lora/r")
    assert ended(folder).state is State.FAILED
    first = (folder / "log.txt").read_text()
    assert begin("--steps 4 --save-every 1 --crash-at 3 --code 3", output_dir="saves/m/lora/r")
    view = ended(folder)
    place = saves() / ".trash" / "r-1"
    assert (place / "log.txt").read_text() == first
    assert [(one.code, one.params) for one in view.notices] == [
        ("run_replaced", {"path": str(place)})
    ]
    with pytest.raises(RunFolderError) as error:
        begin(output_dir="saves/m/lora/r")
    assert first_code(error) == "output_dir_in_use"
    going = begin("--steps 900 --sleep 0.05", output_dir="saves/m/lora/going")
    running(going)
    with pytest.raises(RunFolderError) as error:
        begin(output_dir="saves/m/lora/going")
    assert first_code(error) == "output_dir_in_use"
    words = "train --model_name_or_path org/model --dataset identity --output_dir saves/m/lora/t"
    for report in ("", "saves/.trash/t-1"):
        shell = subprocess.run(
            [sys.executable, "-m", "backend", *words.split()],
            env={**os.environ, "TUNEBOARD_WORKER": fake("--crash-at 1 --code 3")},
            capture_output=True,
            text=True,
        )
        assert report in shell.stderr
        assert (".trash" in shell.stderr) == bool(report)


def test_overwriting_keeps_the_old_run(begin: Callable[..., Path]) -> None:
    folder = begin(output_dir="saves/m/lora/r")
    ended(folder)
    (folder / "mark").touch()
    with pytest.raises(RunFolderError) as error:
        begin(output_dir="saves/m/lora/r")
    assert first_code(error) == "output_dir_in_use"
    assert begin(output_dir="saves/m/lora/r", overwrite_output_dir=True) == folder
    assert ended(folder).state is State.SUCCEEDED
    assert (saves() / ".trash" / "r-1" / "mark").exists()
    assert not (folder / "mark").exists()
    assert len(run_folder.runs(saves())) == 1


def test_a_running_or_foreign_folder_is_never_overwritten(begin: Callable[..., Path]) -> None:
    folder = begin("--steps 500 --sleep 0.02", output_dir="saves/m/lora/r")
    running(folder)
    with pytest.raises(RunFolderError) as error:
        begin(output_dir="saves/m/lora/r", overwrite_output_dir=True)
    assert first_code(error) == "output_dir_running"
    launch.stop(folder)
    ended(folder)
    (saves() / "mine").mkdir()
    (saves() / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError) as error:
        begin(output_dir="saves/mine", overwrite_output_dir=True)
    assert first_code(error) == "output_dir_foreign"
    assert (saves() / "mine" / "thesis.txt").read_text() == "years of work"
