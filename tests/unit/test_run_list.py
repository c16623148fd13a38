"""The list of runs is what reading every folder anew would give, after every kind of change."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.runs import listed_run, run_index, run_list
from app.services.runs.listed_run import ListedRun
from app.services.runs.run_list import RunList
from backend.contract.launching import launch
from backend.contract.runs import metrics, run_files, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.system.files import write_atomic

COUNT = 12


@pytest.fixture(autouse=True)
def saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ended runs in a folder whose changes count at once, as those of an old one do."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(run_index, "SETTLED_S", -1.0)
    folder = tmp_path / "saves"
    for number in range(COUNT):
        make_run(folder / "model" / "lora" / f"run-{number}", number)
    return folder


def make_run(folder: Path, sequence: int, *, code: int = 0) -> Path:
    folder.mkdir(parents=True)
    row = {"kind": "train", "arguments": {"stage": "sft"}, "sequence": sequence}
    write_atomic(folder / run_folder.RUN, json.dumps(row))
    write_atomic(folder / run_folder.STATUS, json.dumps({"step": 4, "total": 4}))
    write_atomic(folder / run_folder.EXIT, json.dumps({"code": code}))
    metrics.append(folder / run_folder.METRICS, Metrics(step=4, loss=1.5))
    return folder


def begin(folder: Path, pid: int) -> None:
    """A process works in the folder, as after a launch or a resume."""
    (folder / run_folder.EXIT).unlink(missing_ok=True)
    process = processes.identify(pid).to_json()
    row = {"boot_id": processes.boot_id(), "supervisor": process}
    write_atomic(folder / run_folder.LAUNCH, json.dumps(row))


def read_anew(saves: Path) -> list[ListedRun]:
    runs = [listed_run.read(str(folder.path)) for folder in run_folder.runs(saves)]
    return sorted(runs, key=lambda run: (run.order, run.path), reverse=True)


def look(runs: RunList) -> list[ListedRun]:
    return sorted(runs.look().runs, key=lambda run: (run.order, run.path), reverse=True)


def pass_tick(folder: Path) -> None:
    """Wait until the clock of the file system goes on, as it has long since for an ended run."""
    mark = folder / "tick"
    mark.touch()
    before = mark.stat().st_ctime_ns
    while mark.stat().st_ctime_ns == before:
        mark.touch()
    mark.unlink()


def copy_in(saves: Path) -> None:
    shutil.copytree(saves / "model/lora/run-3", saves / "other/full/copied")


def rename(saves: Path) -> None:
    (saves / "model/lora/run-3").rename(saves / "model/lora/renamed")


def rename_model(saves: Path) -> None:
    (saves / "model").rename(saves / "renamed")


def remove(saves: Path) -> None:
    shutil.rmtree(saves / "model/lora/run-3")


def remove_all(saves: Path) -> None:
    shutil.rmtree(saves / "model")


def replace(saves: Path) -> None:
    remove(saves)
    make_run(saves / "model/lora/run-3", 99, code=1)


def end_otherwise(saves: Path) -> None:
    write_atomic(saves / "model/lora/run-3" / run_folder.EXIT, '{"code": 1}')


def resume(saves: Path) -> None:
    begin(saves / "model/lora/run-3", os.getpid())


def move_to_trash(saves: Path) -> None:
    (saves / ".trash").mkdir()
    (saves / "model/lora/run-3").rename(saves / ".trash/run-3-1")


def register(saves: Path) -> None:
    run_files.add(saves, make_run(saves.parent / "elsewhere" / "r", 50))


def begin_without_run(saves: Path) -> None:
    (saves / "model/lora/unfinished").mkdir()


def hide_run_file(saves: Path) -> None:
    (saves / "model/lora/run-3" / run_folder.RUN).unlink()


CHANGES = [
    copy_in,
    rename,
    rename_model,
    remove,
    remove_all,
    replace,
    end_otherwise,
    resume,
    move_to_trash,
    register,
    begin_without_run,
    hide_run_file,
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows_at_the_next_look(change: Callable[[Path], None], saves: Path) -> None:
    runs = RunList(saves)
    assert look(runs) == read_anew(saves)
    pass_tick(saves.parent)
    assert runs.look() is runs.look()
    change(saves)
    assert look(runs) == read_anew(saves)
    pass_tick(saves.parent)
    assert look(runs) == read_anew(saves)


def test_a_run_file_that_comes_later(saves: Path) -> None:
    """A folder is made before its run.json, as a copy of one is."""
    runs = RunList(saves)
    folder = saves / "model/lora/late"
    folder.mkdir()
    assert len(look(runs)) == COUNT
    pass_tick(saves.parent)
    shutil.copy(saves / "model/lora/run-1" / run_folder.RUN, folder)
    assert look(runs) == read_anew(saves)
    assert len(look(runs)) == COUNT + 1


def test_a_disk_that_is_away_for_a_while(saves: Path) -> None:
    run_files.add(saves, make_run(saves.parent / "disk" / "r", 50))
    runs = RunList(saves)
    assert len(look(runs)) == COUNT + 1
    (saves.parent / "disk").rename(saves.parent / "away")
    assert look(runs) == read_anew(saves)
    assert len(look(runs)) == COUNT
    (saves.parent / "away").rename(saves.parent / "disk")
    assert look(runs) == read_anew(saves)
    assert len(look(runs)) == COUNT + 1


def test_a_process_that_dies_changes_no_file(saves: Path) -> None:
    folder = saves / "model/lora/run-3"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        begin(folder, process.pid)
        runs = RunList(saves)
        assert look(runs) == read_anew(saves)
        assert state_of(runs, folder) is State.RUNNING
        process.kill()
    assert state_of(runs, folder) is State.KILLED
    assert look(runs) == read_anew(saves)


def state_of(runs: RunList, folder: Path) -> State:
    return next(run.state for run in runs.look().runs if run.path == folder)


def test_steps_of_a_run_that_goes_on(saves: Path) -> None:
    folder = saves / "model/lora/run-3"
    begin(folder, os.getpid())
    runs = RunList(saves)
    first = runs.look()
    write_atomic(folder / run_folder.STATUS, json.dumps({"step": 3, "total": 4}))
    second = runs.look()
    assert (second.states, second.changes) == (first.states, first.changes + 1)
    assert look(runs) == read_anew(saves)


def test_what_is_written_into_a_file_shows_when_its_turn_comes(saves: Path) -> None:
    """A copy over a folder writes into its files: no time of the folder tells of it."""
    runs = RunList(saves)
    runs.look()
    (saves / "model/lora/run-3" / run_folder.EXIT).write_text('{"code": 1}')
    for _ in range(-(-COUNT // run_list.READS)):
        runs.look()
    assert look(runs) == read_anew(saves)


@pytest.fixture
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are far more runs than a look compares."""
    monkeypatch.setattr(run_list, "LOOKS", 1)
    monkeypatch.setattr(run_list, "READS", 0)
    monkeypatch.setattr(run_list, "LAUNCH_S", -1.0)


@pytest.mark.usefixtures("few_looks")
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_launch_in_an_old_folder_shows_among_many(is_noted: bool, saves: Path) -> None:
    """The launcher notes each launch in a file of saves/; without that its turn has to come."""
    runs = RunList(saves)
    runs.look()
    folder = run_list_last(runs)
    begin(folder, os.getpid())
    if is_noted:
        (saves / launch.LOCK).write_text("7\n")
    assert (state_of(runs, folder) is State.RUNNING) == is_noted
    for _ in range(COUNT):
        runs.look()
    assert state_of(runs, folder) is State.RUNNING


def run_list_last(runs: RunList) -> Path:
    """The folder whose turn comes last."""
    return Path([*runs._settled][-1])


@pytest.mark.usefixtures("few_looks")
def test_our_own_acts_show_at_once(saves: Path) -> None:
    runs = RunList(saves)
    runs.look()
    folder = run_list_last(runs)
    write_atomic(folder / run_folder.EXIT, '{"code": 1}')
    runs.expect_changes()
    assert state_of(runs, folder) is State.FAILED


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were read."""
    folders: list[str] = []
    read = listed_run.read
    monkeypatch.setattr(run_list, "READS", 0)
    monkeypatch.setattr(listed_run, "read", lambda folder: folders.append(folder) or read(folder))
    return folders


def test_an_ended_run_is_read_once_and_never_by_a_new_server(saves: Path, reads: list[str]) -> None:
    begin(saves / "model/lora/run-3", os.getpid())
    runs = RunList(saves)
    first = look(runs)
    assert len(reads) == COUNT
    reads.clear()
    for _ in range(5):
        runs.look()
    assert {Path(folder).name for folder in reads} == {"run-3"}
    reads.clear()
    assert look(RunList(saves)) == first
    assert {Path(folder).name for folder in reads} == {"run-3"}


def test_a_run_without_an_end_is_judged_anew_after_a_restart(
    saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KILLED is what a missing process means while the machine runs on; after a restart of the
    machine nobody knows how the run has ended."""
    folder = saves / "model/lora/run-3"
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        begin(folder, process.pid)
    assert state_of(RunList(saves), folder) is State.KILLED
    monkeypatch.setattr(processes, "boot_id", lambda: "another")
    assert state_of(RunList(saves), folder) is State.LOST


@pytest.mark.parametrize(
    "content", ["", "{}\n", "[1]\n", "\x00\n", '[1,"x",1,2,3,{}]\n', "[" * 9999]
)
def test_an_index_that_is_torn_or_foreign(content: str, saves: Path) -> None:
    RunList(saves).look()
    lines = (saves / run_index.FILE).read_text().splitlines(keepends=True)
    (saves / run_index.FILE).write_text(content + "".join(lines[3:]) + lines[0][:20])
    assert look(RunList(saves)) == read_anew(saves)
    (saves / run_index.FILE).unlink()
    assert look(RunList(saves)) == read_anew(saves)


def test_an_index_is_cut_once_most_of_it_is_outdated(
    saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_index, "SPARE_LINES", 0)
    RunList(saves).look()
    file = saves / run_index.FILE
    file.write_bytes(3 * file.read_bytes())
    assert look(RunList(saves)) == read_anew(saves)
    assert len(file.read_text().splitlines()) == COUNT


def test_a_folder_that_has_just_changed_is_read_again(
    saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within a tick of the file system's clock have one time."""
    monkeypatch.setattr(run_index, "SETTLED_S", 3.0)
    runs = RunList(saves)
    runs.look()
    for folder in (saves / "model/lora").iterdir():
        (folder / run_folder.EXIT).write_text('{"code": 1}')
    assert {run.state for run in runs.look().runs} == {State.FAILED}


def test_a_loss_that_is_no_number_is_no_change(saves: Path) -> None:
    folder = saves / "model/lora/run-3"
    begin(folder, os.getpid())
    metrics.append(folder / run_folder.METRICS, Metrics(step=5, loss=float("nan")))
    runs = RunList(saves)
    assert runs.look() is runs.look()


def test_the_newest_loss_lies_before_many_evaluations(tmp_path: Path) -> None:
    file = tmp_path / run_folder.METRICS
    metrics.append(file, Metrics(step=1, loss=2.5))
    for step in range(2, 2000):
        metrics.append(file, Metrics(step=step, eval_loss=1.0))
    assert metrics.newest_loss(file) == 2.5
    assert metrics.newest_loss(tmp_path / "none") is None


def test_there_is_no_folder_of_runs(tmp_path: Path) -> None:
    assert RunList(tmp_path / "nowhere").look().runs == []
    assert not (tmp_path / "nowhere").exists()


def test_a_clock_that_was_set_back(saves: Path) -> None:
    """Folders of the future count as settled, or each look would read them all."""
    ahead = time.time_ns() + 10**13
    assert run_index.Stamp(1, ahead, ahead).is_settled
