"""What the tests of resuming share: an ended run with a checkpoint, and how it is resumed."""

import json
from pathlib import Path

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.field import Value, Values
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import position, resuming, run_folder
from backend.contract.runs.position import Position

THEN: Values = {
    "model_name_or_path": "models/m",
    "dataset": "d",
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 2.0,
}
PLACE = Position(step=3, rows=12, size=30, batch=4, accumulation=1, total=16)


def make_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder on a machine that starts one process."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(folder))
    monkeypatch.delenv("NPROC_PER_NODE", raising=False)
    monkeypatch.delenv("FORCE_TORCHRUN", raising=False)
    return folder


def values(**given: Value) -> Values:
    return {**arguments.defaults("train"), **THEN, **given}


def run(home: Path, place: Position | None = PLACE, code: int = 0, **given: Value) -> Path:
    """An ended run with a checkpoint after step 3, as the trainer writes it."""
    folder = home / "saves" / "m" / "lora" / "first"
    point = folder / "checkpoint-3"
    point.mkdir(parents=True)
    then = arguments.resolve(values(**given)).as_mapping()
    (folder / "run.json").write_text(json.dumps({"kind": "train", "arguments": then}))
    (folder / "exit.json").write_text(json.dumps({"code": code}))
    (point / "weights").write_text("w")
    if place is not None:
        position.write(point, {"position": place.to_json(), "arguments": then})
    run_folder.write_manifest(point)
    return folder


def going_on(home: Path, **given: Value) -> resuming.Resumption:
    more: Values = {"output_dir": "saves/m/lora/first", "resume_from_checkpoint": "auto"}
    found = resuming.resumption(values(**{**more, **given}))
    assert found is not None
    return found


def kinds(found: resuming.Resumption) -> dict[str, str]:
    return {each.name: each.kind for each in found.changes}


def newer_checkpoint(folder: Path, place: Position | None = None) -> Path:
    """A whole checkpoint after step 5 of a run."""
    newer = folder / "checkpoint-5"
    newer.mkdir()
    (newer / "weights").write_text("xx")
    if place:
        position.write(newer, {"position": place.to_json(), "arguments": {}})
    run_folder.write_manifest(newer)
    return newer


def resume_codes(asked: Values) -> list[str]:
    """What is said of the checkpoint before a start."""
    problems = check_paths(asked, "train")
    return [each.code for each in problems if each.field == resuming.FIELD]
