"""The options that a learning rate schedule of transformers needs beside its name."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION, GreedyLR
from transformers.trainer_utils import SchedulerType

from backend.contract.arguments.fields.training import LOWER_IS_BETTER
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError

FIELD = "lr_scheduler_kwargs"
MINIMUM = 0.1  # of the learning rate, where a schedule falls to a minimum
REACH = 10.0  # how far below and above the learning rate the greedy schedule may go
DECAY = 0.1  # share of the steps in which warmup_stable_decay falls
BY_EVALUATION = ("reduce_lr_on_plateau", "greedy")
# Parameters of a schedule that the Trainer sets; the others may be set by the person.
OURS = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch", "self"}


def arguments(values: Arguments, total: int) -> tuple[dict[str, Any], list[Problem]]:
    """`lr_scheduler_kwargs` of TrainingArguments for a run of `total` steps, and notices.

    Missing options that the schedule needs get defaults. Raises UsageError for options that the
    schedule does not have.
    """
    name = values.lr_scheduler_type
    options = json.loads(values.lr_scheduler_kwargs or "{}")
    _require_known(name, options)
    defaults = _default_options(name, options, values.learning_rate, total)
    if name in BY_EVALUATION and best_model_arguments(values)["greater_is_better"]:
        options = {"mode": "max", **options}
    notices = []
    if defaults:
        used = ", ".join(f"{key}={value:.3g}" for key, value in defaults.items())
        params = {"schedule": name, "used": used}
        notices.append(Problem(code="schedule_defaults", field=FIELD, params=params, notice=True))
    return {"lr_scheduler_kwargs": {**defaults, **options}}, notices


def best_model_arguments(values: Arguments) -> dict[str, Any]:
    """The TrainingArguments for the metric of an evaluation by which the best model is chosen."""
    metric = values.metric_for_best_model or "eval_loss"
    greater = values.greater_is_better
    lower = metric.removeprefix("eval_") in LOWER_IS_BETTER
    return {
        "metric_for_best_model": metric,
        "greater_is_better": not lower if greater is None else bool(greater),
    }


def _default_options(
    name: str, options: Mapping[str, Any], rate: float, total: int
) -> dict[str, float]:
    if name in {"cosine_with_min_lr", "cosine_warmup_with_min_lr"}:
        return {} if {"min_lr", "min_lr_rate"} & options.keys() else {"min_lr_rate": MINIMUM}
    if name == "warmup_stable_decay":
        return (
            {} if "num_decay_steps" in options else {"num_decay_steps": max(1, int(total * DECAY))}
        )
    if name == "greedy":
        reach = {"min_lr": rate / REACH, "max_lr": rate * REACH}
        return {key: value for key, value in reach.items() if key not in options}
    return {}


def _signature(name: str) -> inspect.Signature:
    """The signature of what makes this schedule."""
    if name == "greedy":
        return inspect.signature(GreedyLR)
    if name == "reduce_lr_on_plateau":
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return inspect.signature(ReduceLROnPlateau)
    functions: dict[SchedulerType, Any] = TYPE_TO_SCHEDULER_FUNCTION
    return inspect.signature(functions[SchedulerType(name)])


def _require_known(name: str, options: Mapping[str, Any]) -> None:
    takes = set() if name.startswith("constant") else set(_signature(name).parameters)
    known = sorted(takes - OURS)
    unknown = [key for key in options if key not in known]
    if unknown:
        params = {"schedule": name, "value": unknown[0][:40], "known": ", ".join(known) or "-"}
        raise UsageError(Problem(code="schedule_kwargs", field=FIELD, params=params))
