"""The training run: its length, learning rate, batches and precision."""

from backend.contract.arguments.field_group import FieldGroup

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
TRAINING = FieldGroup("training")
EVALUATION = FieldGroup("evaluation")


FIELDS = (
    TRAINING.number("learning_rate", 5e-5, 0.0, 10.0, to="learning_rate"),
    TRAINING.number("num_train_epochs", 3.0, 0.0, 100_000.0, to="num_train_epochs"),
    TRAINING.count("per_device_train_batch_size", 2, 1, 1024, to="per_device_train_batch_size"),
    TRAINING.count("gradient_accumulation_steps", 8, 1, 1024, to="gradient_accumulation_steps"),
    TRAINING.field(
        "lr_scheduler_type", "choice", "cosine", choices=SCHEDULES, to="lr_scheduler_type"
    ),
    TRAINING.field("lr_scheduler_kwargs", "json", None),
    TRAINING.field("bf16", "bool", None, tasks=("train", "eval")),
    TRAINING.switch("fp16", tasks=("train", "eval")),
    TRAINING.switch("pure_bf16"),
    TRAINING.count("warmup_steps", 0, 0, 1_000_000, to="warmup_steps"),
    TRAINING.number("warmup_ratio", 0.0, 0.0, 1.0),
    TRAINING.number("max_grad_norm", 1.0, 0.0, 1e6, to="max_grad_norm"),
    TRAINING.number("weight_decay", 0.0, 0.0, 10.0, to="weight_decay"),
    TRAINING.count("max_steps", None, 1, 10**9, unset=-1),
    TRAINING.count("seed", 42, 0, 2**31 - 1, tasks=("train", "eval"), to="seed"),
    TRAINING.number("neftune_noise_alpha", None, 0.0, 100.0, to="neftune_noise_alpha"),
    TRAINING.switch("disable_gradient_checkpointing"),
    TRAINING.switch("enable_liger_kernel"),
    TRAINING.field("deepspeed", "path", None),
    TRAINING.field("do_train", "bool", None, widget="none"),
    EVALUATION.field("do_eval", "bool", True, tasks=("train", "eval"), widget="none"),
)
