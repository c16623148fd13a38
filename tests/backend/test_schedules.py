"""Each course of the learning rate trains, and some are held against their formulas."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.fields.training import SCHEDULES
from backend.contract.arguments.rules import check_rules
from backend.contract.runs import metrics
from backend.contract.texts.problems import UsageError
from backend.model import schedules
from backend.running.failures import Stopped
from tests.backend.training import train_small

RATE = 1e-3
BY_EVALUATION = {"reduce_lr_on_plateau", "greedy"}


def rates(folder: Path) -> list[float]:
    """The learning rate that each step was made with (the row after a step shows the next one)."""
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    return [row.learning_rate for row in rows if row.learning_rate is not None]


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_course_trains(name: str, workspace: Path, tiny_model_dir: Path) -> None:
    options: dict[str, Any] = {"lr_scheduler_type": name, "max_steps": 2, "logging_steps": 1}
    if name in BY_EVALUATION:
        options |= {"val_size": 0.2, "eval_steps": 1}
    folder = train_small(workspace, tiny_model_dir, learning_rate=RATE, **options)
    assert len(rates(folder)) == 2
    assert all(0 <= each <= RATE * schedules.REACH for each in rates(folder))


def cosine(step: int, total: int, floor: float) -> float:
    return RATE * (floor + (1 - floor) * (1 + math.cos(math.pi * step / total)) / 2)


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("linear", None, [RATE * (1 - step / 8) for step in range(8)]),
        ("cosine", None, [cosine(step, 8, 0.0) for step in range(8)]),
        ("cosine_with_min_lr", None, [cosine(step, 8, 0.1) for step in range(8)]),
        (
            "cosine_with_min_lr",
            {"min_lr": RATE / 2},
            [cosine(step, 8, 0.5) for step in range(8)],
        ),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 4, "decay_type": "linear"},
            [RATE] * 4 + [RATE * (1 - step / 4) for step in range(4)],
        ),
        ("constant", None, [RATE] * 8),
    ],
    ids=lambda each: str(each)[:30],
)
def test_courses_by_their_formulas(
    name: str,
    kwargs: dict[str, Any] | None,
    expected: list[float],
    workspace: Path,
    tiny_model_dir: Path,
) -> None:
    folder = train_small(
        workspace,
        tiny_model_dir,
        lr_scheduler_type=name,
        lr_scheduler_kwargs=kwargs,
        learning_rate=RATE,
        max_steps=8,
        logging_steps=1,
        gradient_accumulation_steps=1,
    )
    assert rates(folder) in (
        pytest.approx(expected, abs=1e-9),
        pytest.approx([*expected[1:], rates(folder)[-1]], abs=1e-9),
    )


@pytest.mark.parametrize(("name", "threshold"), [("reduce_lr_on_plateau", 0.5), ("greedy", 5.0)])
def test_a_standstill_lowers_the_rate(
    name: str,
    threshold: float,
    workspace: Path,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No evaluation is better by half: after each, the rate is halved; a resumed run goes on so."""
    from backend.running.report import Report

    options: dict[str, Any] = {
        "lr_scheduler_type": name,
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 0, "threshold": threshold},
        "val_size": 0.2,
        "eval_steps": 1,
        "max_steps": 5,
        "logging_steps": 1,
        "learning_rate": RATE,
    }
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    assert rates(whole)[-1] <= RATE / 4

    def stop(self: Report, step: int, _total: int, **_: Any) -> None:
        if step == 3 and not (self.folder / "checkpoint-3").exists():
            (self.folder / "stop.json").write_text("{}")

    monkeypatch.setattr(Report, "progress", stop)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, "parts", **options)
    (workspace / "saves" / "parts" / "stop.json").unlink()
    parts = train_small(
        workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **options
    )
    assert rates(parts) == rates(whole)


def test_what_is_filled_in_is_said(workspace: Path, tiny_model_dir: Path) -> None:
    folder = train_small(workspace, tiny_model_dir, lr_scheduler_type="cosine_with_min_lr")
    notices = json.loads((folder / "status.json").read_text())["notices"]
    (notice,) = [each for each in notices if each["code"] == "schedule_defaults"]
    assert notice["params"]["used"] == "min_lr_rate=0.1"


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("cosine", None, {}),
        ("cosine_with_min_lr", None, {"min_lr_rate": 0.1}),
        ("cosine_with_min_lr", '{"min_lr": 1e-6}', {"min_lr": 1e-6}),
        ("cosine_warmup_with_min_lr", None, {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", None, {"num_decay_steps": 10}),
        ("warmup_stable_decay", '{"num_decay_steps": 3}', {"num_decay_steps": 3}),
        ("greedy", '{"max_lr": 1.0}', {"min_lr": RATE / 10, "max_lr": 1.0}),
    ],
)
def test_needed_numbers(name: str, kwargs: str | None, expected: dict[str, Any]) -> None:
    values = {"lr_scheduler_type": name, "lr_scheduler_kwargs": kwargs, "learning_rate": RATE}
    assert schedules.arguments(resolve(values), 100)[0]["lr_scheduler_kwargs"] == expected


@pytest.mark.parametrize("name", SCHEDULES)
def test_numbers_that_a_course_does_not_take(name: str) -> None:
    values = {"lr_scheduler_type": name, "lr_scheduler_kwargs": '{"nonsense": 1}'}
    with pytest.raises(UsageError) as caught:
        schedules.arguments(resolve(values), 100)
    assert "nonsense" in caught.value.problems[0].text()


@pytest.mark.parametrize("name", sorted(BY_EVALUATION))
@pytest.mark.parametrize("options", [{}, {"val_size": 0.1, "eval_strategy": "no"}])
def test_some_need_an_evaluation(name: str, options: dict[str, Any]) -> None:
    values, _ = parse({"model_name_or_path": "m", "lr_scheduler_type": name, **options}, "train")
    assert "schedule_needs_evaluation" in [each.code for each in check_rules(values, "train")]
