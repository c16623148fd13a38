"""Which checkpoint a training is resumed from, how many steps are left, the terminal's table."""

import os
import shutil
from pathlib import Path

import pytest

from backend.cli.commands import dispatch
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Value, Values
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import checkpoints, position, resuming, run_folder
from backend.contract.runs.position import Position
from backend.contract.runs.resume_kinds import LAUNCH
from backend.contract.texts.problems import RunFolderError, TuneboardError
from tests.unit.resuming import (
    PLACE,
    going_on,
    make_home,
    newer_checkpoint,
    resume_codes,
    run,
    values,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_home(tmp_path, monkeypatch)


@pytest.mark.parametrize("content", ["xy", "x", None])
def test_a_damaged_checkpoint(content: str | None, home: Path) -> None:
    """C-05: a flipped bit, a file cut short, one that is gone: found before anything runs; "auto"
    steps back, and says from where."""
    folder = run(home, code=1)
    newer = newer_checkpoint(folder)
    assert going_on(home).checkpoint == newer
    weights = newer / "weights"
    weights.unlink() if content is None else weights.write_text(content)
    asked = values(output_dir=str(folder), resume_from_checkpoint="auto")
    assert resuming.require_checkpoint(asked)["resume_from_checkpoint"] == "auto"
    found = going_on(home)
    assert (found.checkpoint.name, found.step) == ("checkpoint-3", 3)
    assert [each.params for each in found.damage] == [{"path": str(newer), "file": "weights"}]
    explicit = values(output_dir="out", resume_from_checkpoint=str(newer))
    assert resume_codes(explicit) == ["checkpoint_damaged"]
    with pytest.raises(RunFolderError) as error:
        resuming.require_checkpoint(explicit)
    assert error.value.problems[0].params["file"] == "weights"
    (folder / "checkpoint-3" / "weights").write_text("v")
    with pytest.raises(RunFolderError) as error:
        resuming.require_checkpoint(asked)
    codes = ["no_checkpoint", "checkpoint_damaged", "checkpoint_damaged"]
    assert [each.code for each in error.value.problems] == codes
    assert resume_codes(asked) == codes


def test_the_terminal_names_the_checkpoint_that_is_used(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run whose last checkpoint has a flipped bit said "nothing left to do"."""
    place = Position(step=3, rows=12, size=20, batch=4, accumulation=1, total=5)
    folder = run(home, place, num_train_epochs=1.0)
    end = Position(step=5, epoch=1, size=20, batch=4, accumulation=1, total=5)
    newer = newer_checkpoint(folder, end)

    def said(*words: str) -> tuple[list[str], set[str]]:
        with pytest.raises(TuneboardError) as error:  # there is no model to go on with
            dispatch(["resume", "first", *words, "--dry-run"])
        return capsys.readouterr().out.splitlines(), {each.code for each in error.value.problems}

    lines, codes = said()
    assert lines[0].endswith("checkpoint-5 is the end of the run: all of its 5 steps are done.")
    assert "resume_nothing_left" in codes
    (newer / "weights").write_text("xy")
    for words in ((), ("num_train_epochs=3",)):
        lines, codes = said(*words)
        assert lines[0].startswith(f"note: The checkpoint {newer} is damaged: weights is missing")
        assert "checkpoint-3, after step 3 of " in lines[1]
        assert "resume_nothing_left" not in codes


def test_the_newest_checkpoint_of_no_run_asks_for_the_run(home: Path) -> None:
    """TUNEBOARD_HOME was said to hold no checkpoint."""
    for newest in ("true", "auto", "True"):
        asked = values(resume_from_checkpoint=newest)
        point, (problem,) = resuming.checkpoint_of(resolve(asked))
        assert (point, problem.code, problem.field) == (None, "resume_needs_folder", "output_dir")
        assert "resume_needs_folder" in [each.code for each in check_paths(asked, "train")]


def test_a_file_is_read_again_when_it_was_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is drawn with each letter that is typed: a checkpoint is read once for them all."""
    folder = run(home, code=1)
    point = folder / "checkpoint-3"
    weights = point / "weights"
    read: list[Path] = []
    hashed = checkpoints._sha256
    monkeypatch.setattr(checkpoints, "_sha256", lambda path: (read.append(path), hashed(path))[1])
    files = len(list(point.iterdir())) - 1
    monkeypatch.setattr(checkpoints, "GRAIN", 0.0)
    for _ in range(3):
        going_on(home)
    assert len(read) == files
    stat = weights.stat()
    weights.write_text("v")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(RunFolderError):
        checkpoints.verify(point)
    monkeypatch.setattr(checkpoints, "GRAIN", 60.0)  # within the grain of the clock, always
    weights.write_text("w")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    checkpoints.verify(point)


def test_a_checkpoint_without_its_optimizer(home: Path) -> None:
    """Of save_only_model: the trainer refused it, when the model was loaded."""
    folder = run(home, code=1)
    newer = folder / "checkpoint-5"
    newer.mkdir()
    (newer / "trainer_state.json").write_text("{}")
    run_folder.write_manifest(newer)
    assert going_on(home).step == 3
    for asked in (str(newer), str(folder)):
        if asked == str(folder):
            (folder / "checkpoint-3" / "manifest.json").unlink()
        given = values(output_dir="out", resume_from_checkpoint=asked)
        assert resume_codes(given) == ["checkpoint_not_resumable"]
    (newer / "optimizer.pt").write_text("")
    (newer / "scheduler.pt").write_text("")
    run_folder.write_manifest(newer)
    assert going_on(home).step == 5


def test_how_many_steps_there_are_is_said_once(home: Path) -> None:
    """More epochs under max_steps read "5 steps in all instead of 5"."""
    place = Position(step=5, rows=20, size=30, batch=4, accumulation=1, total=5)
    run(home, place, max_steps=5)
    texts = {
        each.name: each.text()
        for given in ({"max_steps": None}, {"max_steps": 5, "num_train_epochs": 9.0})
        for each in going_on(home, **given).changes
    }
    assert texts["max_steps"].startswith("16 steps in all instead of 5")  # 2 epochs of 8
    assert texts["num_train_epochs"] == (
        "nothing: max_steps says how many steps the run has, 5 in all"
    )
    (batch,) = going_on(home, max_steps=5, per_device_train_batch_size=2).changes
    assert batch.text() == "has no effect: no step is left to do"
    (stays,) = going_on(home, num_train_epochs=0.6).changes[1:]
    done = "requests no more than the 5 steps that are done: no step is left to do"
    assert (stays.name, stays.text()) == ("max_steps", done)  # 0.6 of 8
    (problem,) = going_on(home, max_steps=5, num_train_epochs=9.0).problems()
    assert problem.text().endswith("resume it with a larger max_steps.")


def test_the_table_in_a_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tuneboard resume RUN argument=value ... --dry-run`: columns in line, nothing is started."""
    run(home, code=1)
    (home / "models" / "m").mkdir(parents=True)
    words = ["learning_rate=1e-5", "--per_device_train_batch_size", "2", "seed=9", "--dry-run"]
    with pytest.raises(TuneboardError):  # there is no model to go on with
        dispatch(["resume", "first", *words])
    lines = capsys.readouterr().out.splitlines()
    assert "checkpoint-3, after step 3 of 27" in lines[0]
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {"learning_rate", "per_device_train_batch_size", "seed"}
    assert rows["learning_rate"].split()[1:4] == ["5e-05", "1e-05", "used"]
    assert rows["seed"].split()[1:4] == ["42", "9", "kept"]
    begins = zip(lines[1:], ("kind", "used", "used", "kept"), strict=True)
    assert len({line.index(word) for line, word in begins}) == 1
    for words, code in ((["first", "x=1"], "unknown_argument"), ([], "command_usage")):
        with pytest.raises(TuneboardError) as error:
            dispatch(["resume", *words])
        assert error.value.problems[0].code == code


OWN = "saves/m/lora/first"


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (["first", f"output_dir={OWN}", "overwrite_output_dir=false"], []),
        (["first", f"resume_from_checkpoint={OWN}/checkpoint-5"], []),
        (["first", "resume_from_checkpoint=checkpoint-5"], []),
        (["first", "--resume-from-checkpoint", "auto"], []),
        (["first/checkpoint-5"], []),
        ([f"{OWN}/checkpoint-5"], []),
        (["first", "output_dir=saves/m/lora/second"], ["resume_other_folder"]),
        (["first", "--overwrite_output_dir"], ["resume_other_folder"]),
        (["first", "resume_from_checkpoint=checkpoint-3"], ["resume_older"]),
        (["first", f"resume_from_checkpoint={OWN}/checkpoint-3"], ["resume_older"]),
        (["first/checkpoint-3"], ["resume_older"]),
        (["first/checkpoint-4"], ["checkpoint_damaged"]),
        (["first/checkpoint-9"], ["resume_not_of_run"]),
        (["first", "resume_from_checkpoint=nosuch"], ["resume_not_of_run"]),
        (["first", "resume_from_checkpoint=false"], ["resume_not_of_run"]),
        (["first", "resume_from_checkpoint=other/checkpoint-5"], ["resume_not_of_run"]),
    ],
)
def test_a_run_goes_on_in_its_own_folder_from_its_newest_checkpoint(
    words: list[str], codes: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What asks for another folder or checkpoint was dropped without a word; now it is refused,
    with the command that does it."""
    folder = run(home, code=1)
    newer = newer_checkpoint(folder, PLACE)
    shutil.copytree(folder, home / "other")
    shutil.copytree(newer, folder / "checkpoint-4")
    (folder / "checkpoint-4" / "weights").write_text("y")
    with pytest.raises(TuneboardError) as error:  # there is no model to go on with
        dispatch(["resume", *words, "--dry_run"])
    problems = [each for each in error.value.problems if each.field in LAUNCH]
    assert [each.code for each in problems] == codes
    assert bool(codes) == (capsys.readouterr().out == "")  # an error comes alone
    if codes and codes != ["checkpoint_damaged"]:
        point = f"{OWN}/checkpoint-3" if codes == ["resume_older"] else OWN
        command = f"tuneboard train {OWN}/args.yaml --resume_from_checkpoint {point} --output_dir "
        assert command in problems[0].text()
        assert command in problems[0].text("zh")


def test_errors_come_alone_and_a_run_that_goes_on_is_said_to(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ "All arguments are as they were." stood above the error of a misspelt argument."""
    folder = run(home, code=1)
    wrong = {"learning_rte=1": "unknown_argument_near", "max_steps=0": "out_of_range"}
    for word, code in wrong.items():
        with pytest.raises(TuneboardError) as error:
            dispatch(["resume", "first", word, "--dry-run"])
        assert [each.code for each in error.value.problems] == [code]
        assert capsys.readouterr() == ("", "")
    (folder / "exit.json").unlink()
    (folder / "supervisor.log").touch()  # it is starting
    for words in ([], ["--dry-run"], ["learning_rate=1e-5", "--dry_run"]):
        with pytest.raises(RunFolderError) as refused:
            dispatch(["resume", "first", *words])
        assert [each.code for each in refused.value.problems] == ["run_going_on"]


def test_what_is_said_where_no_step_is_left(home: Path) -> None:
    """Of a finished run whose batches are others the table said "goes on at row 1 of 24 of epoch 4"
    beside "nothing left to do", and of one epoch of its three "still 18 steps in all"."""
    place = Position(step=18, epoch=3, size=24, batch=4, accumulation=1, total=18)
    three: dict[str, Value] = {"num_train_epochs": 3.0}
    folder = run(home, place, **three)
    nothing = "has no effect: no step is left to do"
    short = "requests no more than the 18 steps that are done: no step is left to do"
    cases: list[tuple[Values, str]] = [
        ({"per_device_train_batch_size": 2}, nothing),
        ({"learning_rate": 1e-5}, nothing),
        ({"logging_steps": 3}, nothing),
        ({"num_train_epochs": 1.0}, short),
        ({"max_steps": 5}, short),
        ({"max_steps": 18}, short),
    ]
    for given, text in cases:
        found = going_on(home, **{**three, **given})
        assert [each.text() for each in found.changes] == [text], given
        assert [each.code for each in found.problems()] == ["resume_nothing_left"]
        assert "is the end of the run: all of its 18 steps are done" in found.place("p")
    (longer,) = going_on(home, num_train_epochs=4.0).changes
    assert longer.text().startswith("24 steps in all instead of 18")
    position.write(folder / "checkpoint-3", {"position": place_after(10).to_json()})
    run_folder.write_manifest(folder / "checkpoint-3")
    for state, words in (
        ('{"code": 0}', "No step is left from p: 10 are done, and with these arguments the run"),
        ('{"signal": 9}', "Continues from p, after step 10: no step is left, only its result is"),
    ):
        (folder / "exit.json").write_text(state)
        found = going_on(home, **three, max_steps=8)
        assert found.place("p").startswith(words)
        assert "no more than the 10 steps" in found.changes[0].text()


def place_after(step: int) -> Position:
    """In the second epoch of three, of six steps each."""
    return Position(step=step, epoch=1, rows=4 * (step - 6), size=24, batch=4, total=18)
