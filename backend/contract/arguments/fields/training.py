"""The training run: length, learning rate, precision, optimizers, kernels, options of Trainer."""

from backend.contract.arguments.field import FieldGroup, When
from backend.contract.arguments.fields.stages import PAIRED

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


TRAINING_FIELDS = (
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
    TRAINING.field("disable_gradient_checkpointing", "bool", None),
    TRAINING.switch("enable_liger_kernel"),
    TRAINING.field("deepspeed", "path", None),
    TRAINING.field("do_train", "bool", None, widget="none"),
    EVALUATION.field("do_eval", "bool", True, tasks=("train", "eval"), widget="none"),
)


# transformers' names -> (module, what to install), or None where torch and transformers suffice.
OPTIMIZERS: dict[str, tuple[str, str] | None] = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adafactor"), None),
    **dict.fromkeys(("sgd", "adagrad", "rmsprop"), None),
    **dict.fromkeys(("adamw_torch_8bit", "adamw_torch_4bit"), ("torchao", "torchao")),
    **dict.fromkeys(
        (
            *("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit"),
            *("ademamix", "ademamix_8bit", "paged_ademamix_8bit", "paged_ademamix_32bit"),
            *("lion_8bit", "lion_32bit", "paged_lion_8bit", "paged_lion_32bit"),
            *("rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit"),
        ),
        ("bitsandbytes", "bitsandbytes"),
    ),
    **dict.fromkeys(("lomo", "adalomo"), ("lomo_optim", "lomo-optim")),
    "grokadamw": ("grokadamw", "grokadamw"),
    **dict.fromkeys(
        ("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"),
        ("schedulefree", "schedulefree"),
    ),
    "stable_adamw": ("optimi", "torch-optimi"),
}
# With these, GaLore takes its AdamW of 8 bit, which computes on a GPU only.
GALORE_8BIT = ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit")
OF_WHOLE: When = (("finetuning_type", ("full", "freeze")),)
GALORE: When = (*OF_WHOLE, ("use_galore", (True,)))
APOLLO: When = (*OF_WHOLE, ("use_apollo", (True,)))
BADAM: When = (*OF_WHOLE, ("use_badam", (True,)))
BY_LAYER: When = (*BADAM, ("badam_mode", ("layer",)))
BY_RATIO: When = (*BADAM, ("badam_mode", ("ratio",)))
OPTIMIZER = FieldGroup("optimizer")


OPTIMIZER_FIELDS = (
    OPTIMIZER.field("optim", "choice", "adamw_torch", choices=tuple(OPTIMIZERS), to="optim"),
    OPTIMIZER.number("adam_beta1", 0.9, 0.0, 1.0, to="adam_beta1"),
    OPTIMIZER.number("adam_beta2", 0.999, 0.0, 1.0, to="adam_beta2"),
    OPTIMIZER.number("adam_epsilon", 1e-8, 0.0, 1.0, to="adam_epsilon"),
    OPTIMIZER.switch("use_galore", OF_WHOLE),
    OPTIMIZER.field("galore_target", "list", "all", GALORE),
    OPTIMIZER.count("galore_rank", 16, 1, 1024, GALORE),
    OPTIMIZER.count("galore_update_interval", 200, 1, 2048, GALORE),
    OPTIMIZER.number("galore_scale", 2.0, 0.0, 100.0, GALORE),
    OPTIMIZER.choice("galore_proj_type", ("std", "reverse_std", "right", "left", "full"), GALORE),
    OPTIMIZER.switch("galore_layerwise", GALORE),
    OPTIMIZER.switch("use_apollo", OF_WHOLE),
    OPTIMIZER.field("apollo_target", "list", "all", APOLLO),
    OPTIMIZER.count("apollo_rank", 16, 1, 1024, APOLLO),
    OPTIMIZER.count("apollo_update_interval", 200, 1, 2048, APOLLO),
    OPTIMIZER.number("apollo_scale", 32.0, 0.0, 100.0, APOLLO),
    OPTIMIZER.choice("apollo_proj", ("random", "svd"), APOLLO),
    OPTIMIZER.choice("apollo_proj_type", ("std", "right", "left"), APOLLO),
    OPTIMIZER.choice("apollo_scale_type", ("channel", "tensor"), APOLLO),
    OPTIMIZER.switch("apollo_layerwise", APOLLO),
    OPTIMIZER.switch("apollo_scale_front", APOLLO),
    OPTIMIZER.switch("use_badam", OF_WHOLE),
    OPTIMIZER.choice("badam_mode", ("layer", "ratio"), BADAM),
    OPTIMIZER.choice("badam_switch_mode", ("ascending", "descending", "random", "fixed"), BY_LAYER),
    OPTIMIZER.count("badam_start_block", None, 0, 1023, BY_LAYER),
    OPTIMIZER.count("badam_switch_interval", 50, 1, 1_000_000, BADAM),
    OPTIMIZER.number("badam_update_ratio", 0.05, 0.0, 1.0, BY_RATIO),
    OPTIMIZER.choice("badam_mask_mode", ("adjacent", "scatter"), BY_RATIO),
    OPTIMIZER.switch("use_adam_mini", OF_WHOLE),
    OPTIMIZER.switch("use_muon"),
)


TOKENS: When = (("stage", ("pt", "sft")),)  # stages whose loss is that of the next token
SFT: When = (("stage", ("sft",)),)
SPEED = FieldGroup("speed")


SPEED_FIELDS = (
    SPEED.switch("shift_attn"),
    SPEED.switch("use_unsloth"),
    SPEED.switch("use_reentrant_gc", (("disable_gradient_checkpointing", (None, False)),)),
    SPEED.switch("upcast_layernorm"),
    SPEED.number("moe_aux_loss_coef", None, 0.0, 10.0, TOKENS),
    SPEED.number("label_smoothing_factor", 0.0, 0.0, 0.999, TOKENS),
    SPEED.switch("use_dft_loss", SFT),
    SPEED.switch("use_eaft_loss", SFT),
    SPEED.number("eaft_alpha", 1.0, 0.0, 10.0, (*SFT, ("use_eaft_loss", (True,)))),
    SPEED.switch("use_asft_loss", SFT),
    SPEED.number("asft_alpha", 0.1, 0.0, 10.0, (*SFT, ("use_asft_loss", (True,)))),
)


BOTH = ("train", "eval")
# What an evaluation in training measures, by stage: the names that metric_for_best_model takes.
OF_TOKENS = ("loss", "perplexity", "accuracy")
OF_PAIRS = ("loss", "rewards/accuracies", "rewards/margins")
METRICS = {
    **dict.fromkeys(("pt", "sft"), OF_TOKENS),
    **dict.fromkeys(PAIRED, OF_PAIRS),
    "kto": ("loss", "rewards/chosen", "kl"),
    **dict.fromkeys(("ppo", "grpo", "rloo"), ("loss", "reward")),
    "online_dpo": OF_PAIRS,
    "distillation": ("loss",),
}
LOWER_IS_BETTER = ("loss", "perplexity", "kl")


# Options of transformers' Trainer under its own names, on the command line alone.
TRAINER = {
    group: FieldGroup(group, same_name=True, widget="none")
    for group in ("training", "speed", "data", "evaluation", "output", "tracking")
}

TRAINER_FIELDS = (
    TRAINER["training"].count("data_seed", None, 0, 2**31 - 1),
    TRAINER["training"].switch("full_determinism"),
    TRAINER["training"].switch("use_cpu", tasks=BOTH, to=""),
    TRAINER["speed"].field("tf32", "bool", None),
    TRAINER["speed"].count("torch_empty_cache_steps", None, 1, 10**9),
    TRAINER["data"].field("dataloader_pin_memory", "bool", True),
    TRAINER["data"].switch("dataloader_persistent_workers"),
    TRAINER["data"].count("dataloader_prefetch_factor", None, 1, 1024),
    TRAINER["speed"].field("ddp_find_unused_parameters", "bool", None),
    TRAINER["speed"].count("ddp_bucket_cap_mb", None, 1, 10**6),
    TRAINER["speed"].field("ddp_broadcast_buffers", "bool", None),
    TRAINER["speed"].field("ddp_static_graph", "bool", None),
    TRAINER["speed"].field(
        "ddp_backend", "choice", None, choices=("nccl", "gloo", "mpi", "ccl", "hccl")
    ),
    TRAINER["evaluation"].field("metric_for_best_model", "text", None, to=""),
    TRAINER["evaluation"].field("greater_is_better", "bool", None, to=""),
    TRAINER["evaluation"].switch("eval_on_start"),
    TRAINER["evaluation"].number("eval_delay", 0.0, 0.0, 1e9),
    TRAINER["output"].field(
        "logging_strategy", "choice", "steps", choices=("no", "steps", "epoch")
    ),
    TRAINER["output"].switch("logging_first_step"),
    TRAINER["output"].field(
        "log_level",
        "choice",
        "passive",
        choices=("debug", "info", "warning", "error", "critical", "passive"),
    ),
    TRAINER["tracking"].field("trackio_bucket_id", "text", None),
    TRAINER["tracking"].field("trackio_static_space_id", "text", None),
    TRAINER["tracking"].field(
        "hub_revision", "text", None, when=(("push_to_hub", (True,)),), to=""
    ),
)
