"""A failed run: what helps, in words, and the form filled with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.form import extra_arguments
from app.services.runs import fixes
from backend.contract.arguments.arguments import defaults, drop_defaults, parse, resolve
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs import memory
from backend.contract.runs.run_folder import RunView, State
from backend.contract.texts.problems import Problem
from tests.unit.forms import train_form

GIVEN = {
    "model_name_or_path": "saves/models/m",
    "dataset": "one,two,three",
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 2,
    "disable_gradient_checkpointing": True,
    "output_dir": "saves/m/lora/run",
    "learning_rate": 0.01,
}


WITHOUT_TWO = {"dataset": "one,three"}


def failed(*problems: Problem, state: State = State.FAILED, **given: Any) -> RunView:
    return RunView(
        path=Path("/saves/m/lora/run"),
        name="run",
        model="m",
        method="lora",
        task=given.pop("task", "train"),
        created="",
        sequence=1,
        state=state,
        reason=problems[0] if problems else None,
        more=problems[1:],
        recorded={**defaults("train"), **GIVEN, **given},
    )


def problem(code: str, **params: str) -> Problem:
    return Problem(code=code, params=params)


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        (
            {},
            {
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 4,
                "disable_gradient_checkpointing": False,
            },
        ),
        (
            {"per_device_train_batch_size": 3, "disable_gradient_checkpointing": False},
            {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        ),
        (
            {"per_device_train_batch_size": 1, "disable_gradient_checkpointing": False},
            {"cutoff_len": 1024},
        ),
        (
            {
                "per_device_train_batch_size": 1,
                "cutoff_len": 200,
                "disable_gradient_checkpointing": False,
            },
            {"quantization_bit": "4"},
        ),
        (
            {
                "per_device_train_batch_size": 1,
                "cutoff_len": 200,
                "disable_gradient_checkpointing": False,
                "quantization_bit": "4",
            },
            {},
        ),
    ],
)
def test_less_memory(given: dict[str, Any], changes: dict[str, Any]) -> None:
    view = failed(problem("out_of_memory_training"), state=State.OUT_OF_MEMORY, **given)
    assert fixes.find_fix(view).changes == changes


def test_a_fix_without_an_estimate_is_told_by_the_names_of_the_fields() -> None:
    """A run of a model that is not on this machine told of per_device_train_batch_size, and at its
    smallest batch and cutoff length of quantization_bit, without a button."""
    for given in ({}, {"per_device_train_batch_size": 1, "cutoff_len": 200}):
        view = failed(problem("out_of_memory"), state=State.OUT_OF_MEMORY, **given)
        reason = memory.explain(resolve(view.recorded))
        fix = fixes.find_fix(view)
        assert fix.changes
        for lang in ("en", "zh"):
            said = fixes.correct(reason, fix, lang).text(lang)
            assert not [name for name in FIELDS if "_" in name and name in said]


@pytest.mark.parametrize(
    ("problems", "changes"),
    [
        ([problem("dataset_unknown", name="two", path="p")], {"dataset": "one,three"}),
        (
            [
                problem("dataset_hub_unreachable", name="one"),
                problem("dataset_file_missing", name="two", path="p"),
            ],
            {"dataset": "three"},
        ),
        ([problem("dataset_without_rows", name="four")], {}),
        ([problem("dataset_hub_refused", name="two (org/data)", set="two")], WITHOUT_TWO),
        ([problem("modelscope_missing", name="two (org/data)", set="two")], WITHOUT_TWO),
        ([problem("data_broken", file="HOME/data/two.json", line="3")], WITHOUT_TWO),
        ([problem("row_no_object", file="HOME/data/three/a.jsonl")], {"dataset": "one,two"}),
        ([problem("data_broken", file="HOME/data/other.json", line="3")], {}),
        ([problem("loss_not_finite")], {"learning_rate": 0.001}),
        ([problem("swanlab_failed", reason="no")], {"use_swanlab": False}),
        ([problem("disk_full", path="p", needed="1", free="0")], {}),
        ([problem("unexpected", type="T", reason="r")], {}),
        ([], {}),
    ],
)
def test_cures(
    problems: list[Problem], changes: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    """A data set is the one that the form names, whatever the problem names it by."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data" / "three").mkdir(parents=True)
    (tmp_path / "data" / "two.json").touch()
    registry = {"two": {"file_name": "two.json"}, "three": {"file_name": "three"}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(registry))
    for one in problems:
        if "file" in one.params:
            one.params["file"] = str(one.params["file"]).replace("HOME", str(tmp_path))
    fix = fixes.find_fix(failed(*problems))
    assert fix.changes == changes
    rest = set(str(changes.get("dataset", "one,two,three")).split(","))
    assert set(fix.without) == {"one", "two", "three"} - rest


def test_the_only_data_set_is_not_taken_out() -> None:
    view = failed(problem("dataset_unknown", name="one", path="p"), dataset="one")
    assert fixes.find_fix(view) == fixes.Fix()


def test_missing_packages_are_a_command() -> None:
    view = failed(
        problem("package_missing", package="galore-torch"),
        problem("package_missing", package="swanlab"),
        problem("package_missing", package="swanlab"),
    )
    fix = fixes.find_fix(view)
    assert (fix.changes, fix.command) == ({}, "pip install galore-torch swanlab")
    assert fix.words({}, "en") == fix.command


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.STOPPED, State.RUNNING])
def test_what_has_not_failed_needs_no_cure(state: State) -> None:
    assert fixes.find_fix(failed(problem("out_of_memory"), state=state)) == fixes.Fix()


def test_a_cure_in_words() -> None:
    view = failed(problem("loss_not_finite"))
    words = fixes.find_fix(view).words(fixes.arguments(view), "en")
    assert words == "Learning rate: 0.01 → 0.001"
    assert fixes.find_fix(view).words(fixes.arguments(view), "zh").startswith("学习率")


def test_arguments_that_this_version_does_not_know_are_left_out() -> None:
    view = failed(unheard_of=3, lora_rank="evil", freeze_vision_tower=True)
    found = fixes.arguments(view)
    assert set(found) == set(defaults("train"))
    assert found["lora_rank"] == FIELDS["lora_rank"].default
    assert found["output_dir"] is None
    assert found["learning_rate"] == 0.01


def test_the_form_gives_back_the_run_s_arguments() -> None:
    """To the last one: what has no control stands in the box for further arguments."""
    names = ["model_name_or_path", "dataset", "finetuning_type", "learning_rate", "lora_rank"]
    form = train_form(names)
    run, _ = parse({**GIVEN, "default_system": "be kind\nand brief ", "seed": 7}, "train")
    for system in (run["default_system"], "brief", None):
        values = {**run, "default_system": system}
        held = [update["value"] for update in form.fill(values)]
        found, problems = form.values(held)
        assert problems == []
        values["output_dir"] = None  # that of another run is never taken over
        assert drop_defaults(found, "train") == drop_defaults(values, "train")


def test_values_as_the_box_takes_them() -> None:
    assert extra_arguments.to_text({}) == ""
    assert extra_arguments.to_text({"seed": 7, "fp16": True}) == "seed=7\nfp16=true"
    assert extra_arguments.read(extra_arguments.to_text({"default_system": "a\nb"})) == (
        {"default_system": "a\nb"},
        [],
    )
