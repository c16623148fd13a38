"""Problems as the page writes them: an argument is called what its field is called."""

import json
from pathlib import Path

import pytest

from app.problems import problem_lines, text_beside_field
from app.services.page.run_head import build_head
from backend.contract.runs import run_folder
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem

RANGE = {"value": "-1.0", "low": "0", "high": "10"}
MISSING = Problem(code="model_required", field="model_name_or_path")


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (MISSING, "Model: Choose a model."),
        (
            Problem(code="out_of_range", field="learning_rate", params=RANGE),
            "Learning rate is -1.0, but must be between 0 and 10.",
        ),
        (
            Problem(code="out_of_range", field="learning_rate", params={**RANGE, "at": "sft"}),
            "sft: Learning rate is -1.0, but must be between 0 and 10.",
        ),
        (
            Problem(code="dataset_required", field="dataset", params={"at": "sft"}),
            "sft: Data sets: Choose a data set.",
        ),
        (
            Problem(code="unknown_argument", field="foo", params={"task": "train"}),
            "foo is not an argument of tuneboard train. See tuneboard train --help for the list.",
        ),
    ],
)
def test_a_line_calls_an_argument_by_its_label(problem: Problem, line: str) -> None:
    """ "Learning rate: sft: learning_rate is -1.0" stood on Recipes, "learning_rate is ..." on
    Train."""
    assert problem_lines([problem], "en") == line


def test_beside_its_field_an_argument_is_not_called_by_its_name() -> None:
    problem = Problem(code="not_bool", field="packing", params={"value": "7"})
    assert text_beside_field(MISSING, "en") == "Choose a model."
    assert "packing" not in text_beside_field(problem, "en")
    assert text_beside_field(Problem(code="out_of_memory"), "en").startswith("Out of memory")


def test_the_head_of_a_failed_run_calls_an_argument_by_its_label(tmp_path: Path) -> None:
    """ "enable_liger_kernel needs the package ..." stood above a form in which no field is called
    so."""
    (tmp_path / "run.json").write_text(json.dumps({"kind": "train", "arguments": {}}))
    (tmp_path / "exit.json").write_text(json.dumps({"code": 2}))
    params = {"package": "x"}
    wrong = Problem(code="package_missing", field="enable_liger_kernel", params=params)
    (tmp_path / "problem.json").write_text(json.dumps(wrong.to_json()))
    problem = build_head(run_folder.read(tmp_path), "en")["problem"]
    assert problem.startswith(f"{t('field.enable_liger_kernel.label', 'en')} needs the package x")
