"""The course of the learning rate: what a schedule of transformers needs beside its name."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION, GreedyLR, SchedulerType

from backend.contract.arguments.fields.trainer import LOWER_IS_BETTER
from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Problem, UsageError

FIELD = "lr_scheduler_kwargs"
MINIMUM = 0.1  # of the learning rate, where a schedule falls to a minimum
REACH = 10.0  # how far below and above the learning rate the greedy schedule may go
DECAY = 0.1  # share of the steps in which warmup_stable_decay falls
BY_EVALUATION = ("reduce_lr_on_plateau", "greedy")
# Given by the Trainer: the rest of a schedule's parameters is the person's.
OURS = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch", "self"}


def arguments(values: Arguments, total: int) -> tuple[dict[str, Any], list[Problem]]:
    """`lr_scheduler_kwargs` of TrainingArguments for a run of `total` steps, and what to tell.

    What a schedule cannot do without is filled in. Raises UsageError where the given ones do not
    fit the schedule.
    """
    name = values.lr_scheduler_type
    given = json.loads(values.lr_scheduler_kwargs or "{}")
    _require_known(name, given)
    needed = _needed(name, given, values.learning_rate, total)
    if name in BY_EVALUATION and best(values)["greater_is_better"]:
        given = {"mode": "max", **given}
    notices = []
    if needed:
        used = ", ".join(f"{key}={value:.3g}" for key, value in needed.items())
        params = {"schedule": name, "used": used}
        notices.append(Problem(code="schedule_defaults", field=FIELD, params=params, notice=True))
    return {"lr_scheduler_kwargs": {**needed, **given}}, notices


def best(values: Arguments) -> dict[str, Any]:
    """The TrainingArguments that say which figure of an evaluation tells the best model."""
    metric = values.metric_for_best_model or "eval_loss"
    greater = values.greater_is_better
    lower = metric.removeprefix("eval_") in LOWER_IS_BETTER
    return {
        "metric_for_best_model": metric,
        "greater_is_better": not lower if greater is None else bool(greater),
    }


def _needed(name: str, given: Mapping[str, Any], rate: float, total: int) -> dict[str, float]:
    if name in {"cosine_with_min_lr", "cosine_warmup_with_min_lr"}:
        return {} if {"min_lr", "min_lr_rate"} & given.keys() else {"min_lr_rate": MINIMUM}
    if name == "warmup_stable_decay":
        return {} if "num_decay_steps" in given else {"num_decay_steps": max(1, int(total * DECAY))}
    if name == "greedy":
        reach = {"min_lr": rate / REACH, "max_lr": rate * REACH}
        return {key: value for key, value in reach.items() if key not in given}
    return {}


def _require_known(name: str, given: Mapping[str, Any]) -> None:
    function = GreedyLR if name == "greedy" else TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]
    if name == "reduce_lr_on_plateau":
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        function = ReduceLROnPlateau
    takes = set() if name.startswith("constant") else set(inspect.signature(function).parameters)
    known = sorted(takes - OURS)
    wrong = [key for key in given if key not in known]
    if wrong:
        params = {"schedule": name, "value": wrong[0][:40], "known": ", ".join(known) or "-"}
        raise UsageError(Problem(code="schedule_kwargs", field=FIELD, params=params))
