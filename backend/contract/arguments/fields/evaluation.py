"""Evaluation while training and afterwards."""

from backend.contract.arguments.field import Field

BOTH = ("train", "eval")

ROWS = (
    Field(
        name="per_device_eval_batch_size",
        kind="int",
        default=2,
        group="evaluation",
        low=1,
        high=1024,
        tasks=BOTH,
        to="per_device_eval_batch_size",
    ),
    Field(
        name="eval_strategy",
        kind="choice",
        default=None,
        group="evaluation",
        choices=("no", "steps", "epoch"),
        optional=True,
    ),
    Field(
        name="eval_steps",
        kind="int",
        default=None,
        group="evaluation",
        low=1,
        high=10**9,
        optional=True,
    ),
    Field(name="load_best_model_at_end", kind="bool", default=False, group="evaluation"),
    Field(
        name="early_stopping_steps",
        kind="int",
        default=None,
        group="evaluation",
        low=1,
        high=10_000,
        optional=True,
    ),
    Field(name="compute_accuracy", kind="bool", default=False, group="evaluation"),
    Field(
        name="do_predict",
        kind="bool",
        default=False,
        group="evaluation",
        tasks=("train", "eval"),
    ),
    Field(
        name="predict_with_generate",
        kind="bool",
        default=False,
        group="evaluation",
        tasks=BOTH,
        widget="none",
    ),
)
