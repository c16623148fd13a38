"""Ended runs are renamed, deleted and compared; what must be left alone is left alone."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.services.runs import runs
from app.tabs.run import run_picks
from backend.cli import commands
from backend.contract.arguments.arguments import defaults
from backend.contract.launching import run_changes
from backend.contract.runs import run_folder
from backend.contract.runs.comparison import compare
from backend.contract.texts.problems import RunFolderError

WEIGHTS = 100_000  # bytes


@pytest.fixture
def saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path / "saves"


def write_run(
    saves: Path, name: str, *, ended: bool = True, task: str = "train", **given: Any
) -> Path:
    folder = saves / "tiny" / "lora" / name
    folder.mkdir(parents=True)
    row = {"kind": task, "arguments": {**defaults("train"), **given}, "sequence": 1}
    (folder / run_folder.RUN).write_text(json.dumps(row, default=str))
    (folder / "adapter_model.safetensors").write_bytes(os.urandom(WEIGHTS))
    if ended:
        (folder / run_folder.EXIT).write_text('{"code": 0}')
    else:
        (folder / "supervisor.log").touch()  # it has just been started
    return folder


def refused(folder: Path, *, name: str = "") -> str:
    """The code of the problem of a deletion, or with a name of a renaming; the run is as before."""
    before = sorted(folder.iterdir())
    act = partial(run_changes.rename, folder, name) if name else partial(run_changes.delete, folder)
    with pytest.raises(RunFolderError) as caught:
        act()
    assert sorted(folder.iterdir()) == before
    return caught.value.problems[0].code


def test_a_deleted_run_frees_the_disk(saves: Path) -> None:
    folder = write_run(saves, "one")
    needed = run_changes.measure(folder)
    assert WEIGHTS <= needed < 2 * WEIGHTS
    assert run_changes.delete(folder) == needed
    assert not folder.exists()
    assert not any((saves / ".trash").iterdir())


def test_a_file_with_another_name_elsewhere_frees_nothing(saves: Path) -> None:
    folder = write_run(saves, "one")
    os.link(folder / "adapter_model.safetensors", saves / "kept")
    assert run_changes.measure(folder) < WEIGHTS
    run_changes.delete(folder)
    assert (saves / "kept").stat().st_size == WEIGHTS


def test_links_are_not_followed(saves: Path, tmp_path: Path) -> None:
    """Neither one in the run, whose target stays, nor one that the run lies behind."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(bytes(WEIGHTS))
    folder = write_run(saves, "one")
    (folder / "link").symlink_to(outside)
    assert run_changes.measure(folder) < 2 * WEIGHTS
    run_changes.delete(folder)
    assert (outside / "precious").is_file()

    far = write_run(tmp_path / "elsewhere", "two")
    (saves / "far").symlink_to(tmp_path / "elsewhere" / "tiny")
    (saves / "tiny" / "lora" / "three").symlink_to(far)
    for place in (saves / "far" / "lora" / "two", saves / "tiny" / "lora" / "three", far):
        assert refused(place) == "run_not_in_saves"
        assert refused(place, name="new") == "run_not_in_saves"


def test_a_run_that_goes_on_and_what_it_reads_from_are_left_alone(saves: Path) -> None:
    base = write_run(saves, "base")
    other = write_run(saves, "base2")
    going = write_run(
        saves, "going", ended=False, adapter_name_or_path="saves/tiny/lora/base/checkpoint-5"
    )
    assert not run_folder.read(going).ended
    assert refused(going) == refused(going, name="new") == "run_not_ended"
    assert refused(base) == refused(base, name="new") == "run_in_use"
    run_changes.delete(other)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("two", "run_name_in_use"),
        ("", "name_empty"),
        ("a/b", "name_character"),
        ("..", "name_edge"),
    ],
)
def test_a_name_that_cannot_be(saves: Path, name: str, code: str) -> None:
    folder = write_run(saves, "one")
    write_run(saves, "two")
    with pytest.raises(RunFolderError) as caught:
        run_changes.rename(folder, name)
    assert caught.value.problems[0].code == code
    assert folder.is_dir()


def test_a_renamed_run_is_listed_by_its_name(saves: Path) -> None:
    folder = write_run(saves, "one")
    target = run_changes.rename(folder, "best so far")
    assert [view.name for view in run_folder.runs(saves)] == ["best so far"]
    assert target == folder.with_name("best so far")
    recipe = write_run(saves, "group", task="recipe")
    assert refused(recipe, name="new") == "recipe_not_renamed"


def test_a_stage_of_a_recipe_keeps_its_name_and_stays(
    saves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its group, once resumed, would have trained it anew. Without the group it is a run like any
    other; ticked together, the group goes first."""
    folder = write_run(saves, "g-1-one")
    other = write_run(saves, "g-1-two")
    group = saves / "recipes" / "chain" / "g"
    group.mkdir(parents=True)
    stage = {"name": "one", "arguments": {"model_name_or_path": "tiny", "dataset": "identity"}}
    (group / run_folder.ARGUMENTS).write_text(json.dumps({"stages": [stage]}))
    assert refused(folder, name="new") == "recipe_stage_not_renamed"
    with pytest.raises(RunFolderError) as caught:
        commands.dispatch(["runs", "remove", "g-1-one"])
    assert caught.value.problems[0].code == "recipe_stage_not_deleted"
    assert folder.is_dir()
    assert run_changes.rename(other, "new").is_dir()
    (group / run_folder.RUN).write_text(json.dumps({"kind": "recipe", "arguments": {}}))
    (group / run_folder.EXIT).write_text(json.dumps({"code": 1}))
    runs.forget()
    keys = [str(folder), str(group)]
    assert "words" in run_picks.pick({"do": "delete", "keys": keys, "lang": "en"})
    assert not folder.exists()
    assert not group.exists()


def test_runs_side_by_side(saves: Path) -> None:
    one = write_run(saves, "one", learning_rate=1e-3, hf_hub_token="secret", output_dir="a")
    two = write_run(saves, "two", learning_rate=1e-4, output_dir="b")
    (one / run_folder.RESULTS).write_text('{"eval_loss": 2.5, "steps": 3, "note": "x"}')
    (two / run_folder.RESULTS).write_text('{"eval_loss": 1.5, "perplexity": NaN}')
    compared = compare([run_folder.read(one), run_folder.read(two)])
    assert compared.arguments == {"learning_rate": ["0.001", "0.0001"]}
    assert compared.scores == {"eval_loss": [2.5, 1.5], "steps": [3, None]}


def test_the_command(saves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(saves, "one", learning_rate=1e-3)
    write_run(saves, "two", learning_rate=1e-4)
    assert commands.dispatch(["runs", "compare", "one", "two"]) == 0
    assert capsys.readouterr().out == ("               one    two\nlearning_rate  0.001  0.0001\n")
    assert commands.dispatch(["runs", "compare", "one", "two", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arguments"] == {
        "learning_rate": ["0.001", "0.0001"]
    }
    assert commands.dispatch(["runs", "rename", "one", "best"]) == 0
    assert capsys.readouterr().out == f"{saves / 'tiny/lora/best'}\n"
    assert commands.dispatch(["runs", "remove", "best"]) == 0
    assert "kB are free again." in capsys.readouterr().out
    assert [view.name for view in run_folder.runs(saves)] == ["two"]
