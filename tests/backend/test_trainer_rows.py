"""What is handed to transformers' Trainer arrives there, and does what it says."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import Seq2SeqTrainingArguments

from backend.contract.arguments.arguments import defaults, parse, resolve
from backend.contract.arguments.fields import FIELDS, training
from backend.contract.arguments.fields.training import METRICS
from backend.contract.arguments.rules import check_rules
from backend.contract.preflight.preflight import check_metric
from backend.contract.runs import metrics
from backend.contract.texts.problems import Problem, errors
from backend.model.schedules import best_model_arguments
from backend.training import arguments
from tests.backend.training import train_small

# A value that is not the default, for each row that goes to TrainingArguments under its own name.
OTHERS: dict[str, Any] = {
    "data_seed": 7,
    "full_determinism": True,
    "torch_empty_cache_steps": 3,
    "dataloader_pin_memory": False,
    "dataloader_persistent_workers": True,
    "dataloader_prefetch_factor": 5,
    "ddp_find_unused_parameters": False,
    "ddp_bucket_cap_mb": 11,
    "ddp_broadcast_buffers": True,
    "ddp_static_graph": True,
    "eval_on_start": True,
    "eval_delay": 2.0,
    "logging_strategy": "epoch",
    "logging_first_step": True,
    "log_level": "error",
    "trackio_bucket_id": "me/bucket",
    "trackio_static_space_id": "me/space",
}


class Notices:
    """Collects what would be told."""

    writes = True

    def __init__(self) -> None:
        self.codes: list[tuple[str, str]] = []

    def notice(self, problem: Problem) -> None:
        self.codes.append((problem.code, problem.field))


def built(folder: Path, **given: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The TrainingArguments of these values for 40 rows to learn and 4 to evaluate on."""
    raw = {"model_name_or_path": "m", "dataset": "d", "val_size": 4, **given}
    values, problems = parse(raw, "train")
    assert errors(problems) == []
    report: Any = Notices()
    return arguments.build(resolve(values), folder, (40, 4), report), report.codes


def test_each_setting_of_the_trainer_arrives(tmp_path: Path) -> None:
    expected = {field.name for field in training.TRAINER_FIELDS if field.to} - {
        "tf32",
        "ddp_backend",
    }  # see below
    assert set(OTHERS) == expected
    args, _ = built(tmp_path, dataloader_num_workers=1, **OTHERS)
    assert {name: getattr(args, name) for name in OTHERS} == OTHERS
    usual, _ = built(tmp_path)
    same = {name for name in OTHERS if getattr(usual, name) == OTHERS[name]}
    assert same <= {"dataloader_pin_memory"}  # which transformers leaves out on a CPU
    assert usual.data_seed == 42


def test_what_nothing_here_can_use_is_left_out_and_said(tmp_path: Path) -> None:
    """torch refuses settings of loaders without loaders, transformers TF32 without a GPU, and
    accelerate 1.15 a backend without a group of processes."""
    given = {"dataloader_prefetch_factor": 4, "dataloader_persistent_workers": True, "tf32": True}
    args, codes = built(tmp_path, ddp_backend="gloo", **given)
    assert (args.dataloader_prefetch_factor, args.dataloader_persistent_workers) == (None, False)
    assert set(codes) >= {
        ("no_loaders", "dataloader_prefetch_factor"),
        ("no_loaders", "dataloader_persistent_workers"),
        ("tf32_not_here", "tf32"),
        ("one_process", "ddp_backend"),
    }


def test_the_defaults_of_transformers_are_taken() -> None:
    """A file in which all of TrainingArguments (5.23) is written out."""
    fields = dataclasses.fields(Seq2SeqTrainingArguments)
    assert len(fields) >= 117
    for one in fields:
        value = one.default
        if value is dataclasses.MISSING:
            assert one.default_factory is not dataclasses.MISSING
            value = one.default_factory()
        _, problems = parse({one.name: getattr(value, "value", value)}, "train")
        assert errors(problems) == [], one.name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("eval_loss", False)),
        ({"metric_for_best_model": "eval_loss"}, ("eval_loss", False)),
        ({"metric_for_best_model": "perplexity"}, ("perplexity", False)),
        ({"metric_for_best_model": "accuracy"}, ("accuracy", True)),
        ({"metric_for_best_model": "rewards/margins"}, ("rewards/margins", True)),
        ({"metric_for_best_model": "loss", "greater_is_better": True}, ("loss", True)),
    ],
)
def test_the_better_metric(given: dict[str, Any], expected: tuple[str, bool]) -> None:
    assert tuple(best_model_arguments(resolve({**defaults("train"), **given})).values()) == expected


def test_a_metric_that_is_not_measured_is_refused_before_the_start() -> None:
    assert len(METRICS) == len(FIELDS["stage"].choices)
    values = {**defaults("train"), "metric_for_best_model": "eval_accuracy"}
    assert [one.code for one in check_metric(resolve(values))] == ["accuracy_not_measured"]
    assert check_metric(resolve({**values, "compute_accuracy": True})) == []
    (problem,) = check_metric(resolve({**values, "metric_for_best_model": "rouge"}))
    assert "perplexity" in problem.text()
    assert check_metric(resolve({**values, "stage": "dpo"}))
    assert "metric_not_used" in [one.code for one in check_rules(values, "train")]


def test_the_best_accuracy_is_kept_and_the_first_step_is_logged(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """The checkpoint of the highest accuracy, not of the lowest loss; rows of steps 1 and 3."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        max_steps=6,
        logging_steps=3,
        logging_first_step=True,
        val_size=6,
        eval_steps=1,
        eval_on_start=True,
        learning_rate=0.03,
        compute_accuracy=True,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
    )
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    measured = {row.step: row.more["eval_accuracy"] for row in rows if row.eval_loss is not None}
    assert list(measured) == [0, 1, 2, 3, 4, 5, 6]
    assert 1 in [row.step for row in rows if row.loss is not None]
    state = (folder / "checkpoint-6" / "trainer_state.json").read_text()
    top = max((accuracy, -step) for step, accuracy in measured.items() if step)
    assert f'"best_global_step": {-top[1]}' in state
    assert f'"best_metric": {top[0]}' in state


def test_margins_of_pairs_tell_the_best_model(workspace: Path, tiny_model_dir: Path) -> None:
    """Figures that a stage notes itself are among those that a best model is told by."""
    from tests.backend.preferences import train_preferences

    folder = train_preferences(
        workspace,
        tiny_model_dir,
        stage="dpo",
        eval_strategy="steps",
        eval_steps=1,
        max_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="rewards/margins",
    )
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    margins = [row.more["eval_rewards/margins"] for row in rows if row.eval_loss is not None]
    assert len(margins) == 2
    state = (folder / "checkpoint-2" / "trainer_state.json").read_text()
    assert f'"best_metric": {max(margins)}' in state


@pytest.mark.parametrize("more", [{}, {"group_by_length": False}, {"streaming": True}])
def test_the_order_of_rows_has_a_seed_of_its_own(
    more: dict[str, Any], workspace: Path, tiny_model_dir: Path
) -> None:
    """data_seed alone changes which rows come first; equal to seed it changes nothing."""

    def losses(name: str, **given: Any) -> list[float | None]:
        common = {"logging_steps": 1, "max_steps": 2, **more, **given}
        folder = train_small(workspace, tiny_model_dir, name, **common)
        rows, _ = metrics.read(folder / "metrics.jsonl", 0)
        return [row.loss for row in rows if row.loss is not None]

    usual = losses("usual")
    assert losses("same", data_seed=42) == usual
    assert losses("other", data_seed=43) != usual
