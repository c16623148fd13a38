"""Runs whose output_dir lies elsewhere are listed; the register survives whatever happens to it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from app.services.runs import runs
from app.tabs.run import runs as tab
from backend.cli.commands import dispatch
from backend.contract.launching import launch
from backend.contract.runs import run_files, run_folder
from backend.contract.runs.run_files import RUN


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with other places beside it."""
    folder = tmp_path / "home"
    (folder / "saves").mkdir(parents=True)
    monkeypatch.setenv("TUNEBOARD_HOME", str(folder))
    return folder


def run_in(folder: Path) -> Path:
    """What a list needs of a run."""
    folder.mkdir(parents=True)
    arguments = {"model_name_or_path": "org/base", "finetuning_type": "full"}
    (folder / RUN).write_text(json.dumps({"kind": "train", "arguments": arguments}))
    return folder


def listed(home: Path) -> list[Path]:
    return sorted(view.path for view in run_folder.runs(home / "saves"))


def test_places_that_a_look_through_saves_does_not_find(home: Path) -> None:
    """Outside, in the working folder, in saves/ at another depth, hidden, beside base models."""
    saves = home / "saves"
    usual = run_in(saves / "m" / "lora" / "r")
    others = [
        run_in(each)
        for each in (
            home.parent / "outside" / "r",
            home / "out",
            saves / "flat",
            saves / "a" / "b" / "c" / "d",
            saves / "a" / ".hidden" / "r",
            saves / "models" / "lora" / "r",
        )
    ]
    assert listed(home) == [usual]
    for each in (usual, *others, others[0], others[0] / ".." / "r"):
        run_files.add(saves, each)
    assert listed(home) == sorted([usual, *others])
    content = (saves / run_files.FILE).read_text().splitlines()
    assert content == [str(others[0]), "out", *(str(e.relative_to(home)) for e in others[2:])]
    views = {view.path: view for view in run_folder.runs(saves)}
    assert (views[usual].model, views[usual].method) == ("m", "lora")
    assert (views[others[0]].model, views[others[0]].method) == ("base", "full")


def test_a_working_folder_that_was_moved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies inside is found again; what lies outside has stayed."""
    inside, outside = run_in(home / "out"), run_in(home.parent / "r")
    for each in (inside, outside):
        run_files.add(home / "saves", each)
    moved = home.rename(home.with_name("moved"))
    monkeypatch.setenv("TUNEBOARD_HOME", str(moved))
    assert listed(moved) == sorted([moved / "out", outside])


def test_a_removed_run_loses_its_place_and_a_disk_that_is_away_does_not(home: Path) -> None:
    saves, disk = home / "saves", home.parent / "disk"
    gone, away = run_in(home.parent / "gone"), run_in(disk / "away")
    for each in (gone, away):
        run_files.add(saves, each)
    shutil.rmtree(gone)
    disk.rename(home.parent / "unplugged")
    assert listed(home) == []
    last = run_in(home.parent / "last")
    run_files.add(saves, last)
    assert (saves / run_files.FILE).read_text().split() == [str(away), str(last)]
    (home.parent / "unplugged").rename(disk)
    assert listed(home) == sorted([away, last])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x00\n/a\x00b\n",
        b"\xff\xfe\n",
        b"/no/such/place\n",
        b"x" * 5000,
        b"/",
        b"~\n",
    ],
)
def test_a_register_that_is_torn_or_foreign(content: bytes, home: Path) -> None:
    """R-17: nothing is raised, and what is noted afterwards counts."""
    saves, run = home / "saves", run_in(home.parent / "r")
    (saves / run_files.FILE).write_bytes(content)
    assert listed(home) == []
    run_files.add(saves, run)
    assert listed(home) == [run]


@pytest.mark.parametrize("kind", ["folder", "fifo", "link to nowhere", "unreadable"])
def test_what_is_no_run_is_passed_over(kind: str, home: Path) -> None:
    """A pipe in place of run.json would be waited on for ever."""
    place, good = home.parent / "place", run_in(home.parent / "good")
    for each in (run_in(place), good):
        run_files.add(home / "saves", each)
    (place / RUN).unlink()
    if kind == "folder":
        (place / RUN).mkdir()
    elif kind == "fifo":
        os.mkfifo(place / RUN)
    elif kind == "link to nowhere":
        (place / RUN).symlink_to(home / "nowhere")
    else:
        place.chmod(0)
    assert good in listed(home)
    place.chmod(0o700)


def test_the_register_can_be_made_anew(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tuneboard runs find FOLDER`; attempts of a run, hidden folders and links are no runs."""
    root = home.parent / "elsewhere"
    found = [run_in(root / "a"), run_in(root / "deep" / "b" / "c")]
    run_in(found[0] / "attempts" / "1")
    run_in(root / ".trash" / "r")
    (root / "loop").symlink_to(root)
    for each in found:
        run_files.add(home / "saves", each)
    (home / "saves" / run_files.FILE).unlink()
    assert listed(home) == []
    assert dispatch(["runs", "find", str(root)]) == 0
    assert listed(home) == sorted(found)
    said = capsys.readouterr().out
    assert all(str(each) in said for each in found)
    assert launch.find_runs(root) == []


def test_two_runs_of_one_name_are_told_apart_on_the_page(home: Path) -> None:
    """saves/base/full/r here and in another working folder: a click opens what was meant."""
    here, there = (run_in(each / "saves" / "base" / "full" / "r") for each in (home, home.parent))
    flat = run_in(home.parent / "flat")
    for each in (there, flat):
        run_files.add(home / "saves", each)
    runs.forget()
    views = runs.list_runs()
    assert len(views) == 3
    keys = {row.cells[0].text: row.key for row in tab.list_runs({}, "en").rows}
    assert set(keys) == {"r", f"r ({there})", f"flat ({flat})"}
    assert [runs.find_folder(key) for key in keys.values()] == [view.path for view in views]
    assert runs.find_folder(keys["r"]) == here
