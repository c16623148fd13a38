"""The training run: how long, how fast, how precise, what is written."""

from backend.contract.arguments.field import Field

SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
)

# Configs of DeepSpeed that are written for the person; anything else is the path of a config.
ZERO = ("2", "3", "2_offload", "3_offload")


def _number(name: str, default: float, low: float, high: float, **more: object) -> Field:
    """A float row that goes straight to TrainingArguments."""
    given = {"group": "training", "to": name, **more}
    return Field(name=name, kind="float", default=default, low=low, high=high, **given)  # type: ignore[arg-type]


def _count(name: str, default: int | None, low: int, high: int, **more: object) -> Field:
    """An int row that goes straight to TrainingArguments."""
    given = {"group": "training", "to": name, "optional": default is None, **more}
    return Field(name=name, kind="int", default=default, low=low, high=high, **given)  # type: ignore[arg-type]


ROWS = (
    _number("learning_rate", 5e-5, 0.0, 10.0),
    _number("num_train_epochs", 3.0, 0.0, 100_000.0),
    _count("per_device_train_batch_size", 2, 1, 1024),
    _count("gradient_accumulation_steps", 8, 1, 1024),
    Field(
        name="lr_scheduler_type",
        kind="choice",
        default="cosine",
        group="training",
        choices=SCHEDULES,
        to="lr_scheduler_type",
    ),
    Field(
        name="lr_scheduler_kwargs",
        kind="json",
        default=None,
        group="training",
        optional=True,
    ),
    Field(
        name="bf16",
        kind="bool",
        default=None,
        group="training",
        tasks=("train", "eval"),
        optional=True,
    ),
    Field(
        name="fp16",
        kind="bool",
        default=False,
        group="training",
        tasks=("train", "eval"),
    ),
    Field(name="pure_bf16", kind="bool", default=False, group="training"),
    _count("warmup_steps", 0, 0, 1_000_000),
    _number("warmup_ratio", 0.0, 0.0, 1.0, to=""),
    _number("max_grad_norm", 1.0, 0.0, 1e6),
    _number("weight_decay", 0.0, 0.0, 10.0),
    _count("max_steps", None, 1, 10**9, to="", unset=-1),
    _count("seed", 42, 0, 2**31 - 1, tasks=("train", "eval")),
    Field(
        name="neftune_noise_alpha",
        kind="float",
        default=None,
        group="training",
        low=0.0,
        high=100.0,
        optional=True,
        to="neftune_noise_alpha",
    ),
    Field(
        name="disable_gradient_checkpointing",
        kind="bool",
        default=False,
        group="training",
    ),
    Field(
        name="enable_liger_kernel",
        kind="bool",
        default=False,
        group="training",
    ),
    Field(
        name="deepspeed",
        kind="path",
        default=None,
        group="training",
        optional=True,
    ),
    Field(
        name="do_train",
        kind="bool",
        default=None,
        group="training",
        optional=True,
        widget="none",
    ),
    Field(
        name="do_eval",
        kind="bool",
        default=True,
        group="evaluation",
        tasks=("train", "eval"),
        widget="none",
    ),
)
