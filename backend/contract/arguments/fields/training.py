"""The training run: how long, how fast, how precise, what is written."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.rows import Rows

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
TRAINING = Rows("training")


ROWS = (
    TRAINING.number("learning_rate", 5e-5, 0.0, 10.0, to="learning_rate"),
    TRAINING.number("num_train_epochs", 3.0, 0.0, 100_000.0, to="num_train_epochs"),
    TRAINING.count("per_device_train_batch_size", 2, 1, 1024, to="per_device_train_batch_size"),
    TRAINING.count("gradient_accumulation_steps", 8, 1, 1024, to="gradient_accumulation_steps"),
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
    TRAINING.count("warmup_steps", 0, 0, 1_000_000, to="warmup_steps"),
    TRAINING.number("warmup_ratio", 0.0, 0.0, 1.0),
    TRAINING.number("max_grad_norm", 1.0, 0.0, 1e6, to="max_grad_norm"),
    TRAINING.number("weight_decay", 0.0, 0.0, 10.0, to="weight_decay"),
    TRAINING.count("max_steps", None, 1, 10**9, unset=-1),
    TRAINING.count("seed", 42, 0, 2**31 - 1, tasks=("train", "eval"), to="seed"),
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
