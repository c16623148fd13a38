"""Rules of tuning: methods, optimizers, quantization, schedules, vocabulary, kernels, losses."""

from itertools import combinations

from backend.contract.arguments.fields.methods import ADAPTERS, NOT_CONTINUED, SOFT_PROMPTS
from backend.contract.arguments.fields.stages import DRAWING
from backend.contract.arguments.rule import Condition, Rule

METHOD_RULES: tuple[Rule, ...] = (
    *(
        Rule(
            code="needs_lora",
            field=name,
            conditions=((name, "set", None), ("finetuning_type", "not", ("lora",))),
        )
        for name in ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
    ),
    Rule(
        code="needs_lora",
        field="init_lora_weights",
        conditions=(
            ("init_lora_weights", "not", "default"),
            ("finetuning_type", "not", ("lora",)),
        ),
    ),
    Rule(
        code="pissa_and_init",
        field="init_lora_weights",
        conditions=(("pissa_init", "is", True), ("init_lora_weights", "not", "default")),
    ),
    Rule(
        code="olora_and_quantization",
        field="init_lora_weights",
        conditions=(("init_lora_weights", "is", "olora"), ("quantization_bit", "set", None)),
    ),
    Rule(
        code="loftq_needs_4bit",
        field="init_lora_weights",
        conditions=(("init_lora_weights", "is", "loftq"), ("quantization_bit", "not", "4")),
    ),
    Rule(
        code="loftq_and_dora",
        field="use_dora",
        conditions=(("init_lora_weights", "is", "loftq"), ("use_dora", "is", True)),
    ),
    *(
        Rule(code="changed_base_and_reference", field=field, conditions=(start, *stage))
        for field, start in (
            ("pissa_init", ("pissa_init", "is", True)),
            ("init_lora_weights", ("init_lora_weights", "is", "olora")),
        )
        for stage in (
            (("stage", "is", ("kto", *DRAWING)),),
            (("stage", "is", "dpo"), ("pref_loss", "not", ("orpo", "simpo"))),
        )
    ),
    Rule(
        code="llama_pro_method",
        field="use_llama_pro",
        conditions=(("use_llama_pro", "is", True), ("finetuning_type", "not", ("freeze", "lora"))),
    ),
    Rule(
        code="adalora_ranks",
        field="adalora_target_r",
        conditions=(
            ("finetuning_type", "is", "adalora"),
            ("adalora_target_r", "not below", "adalora_init_r"),
        ),
    ),
    Rule(
        code="adapter_not_continued",
        field="adapter_name_or_path",
        conditions=(
            ("adapter_name_or_path", "set", None),
            ("finetuning_type", "is", NOT_CONTINUED),
            ("create_new_adapter", "is", False),
        ),
    ),
    Rule(
        code="soft_prompt_stage",
        field="finetuning_type",
        conditions=(("finetuning_type", "is", SOFT_PROMPTS), ("stage", "not", ("pt", "sft"))),
    ),
    *(
        Rule(
            code="soft_prompt_and",
            field=name,
            conditions=((name, "set", None), ("finetuning_type", "is", SOFT_PROMPTS)),
        )
        for name in ("packing", "neat_packing", "neftune_noise_alpha")
    ),
)


SPECIAL = ("use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_muon")
FOR_WHOLE = SPECIAL[:4]  # learn all weights at little memory: an adapter has no use for them
LAYERWISE = (("galore_layerwise", "use_galore"), ("apollo_layerwise", "use_apollo"))
LOMO: Condition = ("optim", "is", ("lomo", "adalomo"))
SCHEDULE_FREE: Condition = (
    "optim",
    "is",
    ("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"),
)
BY_EVALUATION: Condition = ("lr_scheduler_type", "is", ("reduce_lr_on_plateau", "greedy"))
NEW_TOKENS = ("resize_vocab", "add_tokens", "add_special_tokens", "new_special_tokens_config")
LOSSES = ("use_dft_loss", "use_eaft_loss", "use_asft_loss")
QUANTIZED: Condition = ("quantization_bit", "set", None)
# What unsloth's own loading and adapters do not do.
NOT_UNSLOTH = (
    *("shift_attn", "rope_scaling", "moe_aux_loss_coef", "deepspeed", "use_llama_pro"),
    *("pissa_init", "use_dora", "enable_liger_kernel", *NEW_TOKENS),
)


def _on(name: str) -> Condition:
    return (name, "is", True)


OPTIMIZER_RULES: tuple[Rule, ...] = (
    *(
        Rule(code="two_optimizers", field=second, conditions=(_on(first), _on(second)))
        for first, second in combinations(SPECIAL, 2)
    ),
    *(
        Rule(
            code="lora_and_low_rank_optimizer",
            field=name,
            conditions=(_on(name), ("finetuning_type", "is", ADAPTERS)),
        )
        for name in FOR_WHOLE
    ),
    *(
        Rule(
            code="deepspeed_and_low_rank_optimizer",
            field=name,
            conditions=(_on(name), ("deepspeed", "set", None)),
        )
        for name in SPECIAL
    ),
    Rule(
        code="loraplus_and_muon",
        field="use_muon",
        conditions=(_on("use_muon"), ("loraplus_lr_ratio", "set", None)),
    ),
    *(
        Rule(
            code="optim_not_used",
            field="optim",
            conditions=(_on(name), ("optim", "not", "adamw_torch")),
            notice=True,
        )
        for name in ("use_badam", "use_adam_mini", "use_muon")
    ),
    *(
        Rule(
            code="layerwise_and_accumulation",
            field=name,
            conditions=(_on(switch), _on(name), ("gradient_accumulation_steps", "above", 1)),
        )
        for name, switch in LAYERWISE
    ),
    *(
        Rule(
            code="layerwise_not_clipped",
            field=name,
            conditions=(_on(switch), _on(name), ("max_grad_norm", "above", 0)),
            notice=True,
        )
        for name, switch in LAYERWISE
    ),
    *(
        Rule(
            code="layerwise_and_fp16",
            field=name,
            conditions=(_on(switch), _on(name), _on("fp16")),
        )
        for name, switch in LAYERWISE
    ),
    Rule(
        code="lomo_and_accumulation",
        field="optim",
        conditions=(LOMO, ("gradient_accumulation_steps", "above", 1)),
    ),
    Rule(code="lomo_and_deepspeed", field="optim", conditions=(LOMO, ("deepspeed", "set", None))),
    Rule(
        code="lomo_and_loraplus",
        field="loraplus_lr_ratio",
        conditions=(LOMO, ("loraplus_lr_ratio", "set", None)),
    ),
    Rule(
        code="schedule_free_and_best_model",
        field="load_best_model_at_end",
        conditions=(SCHEDULE_FREE, _on("load_best_model_at_end")),
    ),
    Rule(
        code="schedule_free_and_schedule",
        field="lr_scheduler_type",
        conditions=(
            SCHEDULE_FREE,
            ("lr_scheduler_type", "not", ("constant", "constant_with_warmup")),
        ),
        notice=True,
    ),
    Rule(
        code="schedule_needs_evaluation",
        field="lr_scheduler_type",
        conditions=(BY_EVALUATION, ("val_size", "is", 0.0), ("eval_dataset", "unset", None)),
    ),
    Rule(
        code="schedule_needs_evaluation",
        field="lr_scheduler_type",
        conditions=(BY_EVALUATION, ("eval_strategy", "is", "no")),
    ),
)

MODEL_RULES: tuple[Rule, ...] = (
    Rule(
        code="torchao_bits",
        field="quantization_bit",
        conditions=(("quantization_method", "is", "torchao"), ("quantization_bit", "is", "4")),
        tasks=("train", "eval", "chat", "api"),
    ),
    *(
        Rule(
            code="quantization_and_resize", field=name, conditions=(QUANTIZED, (name, "set", None))
        )
        for name in NEW_TOKENS
    ),
    *(
        Rule(
            code="new_tokens_and_method",
            field=name,
            conditions=(
                (name, "set", None),
                ("finetuning_type", "is", ("oft", "adalora", "ia3", "vera", *SOFT_PROMPTS)),
            ),
        )
        for name in NEW_TOKENS
    ),
    *(
        Rule(
            code="new_tokens_frozen",
            field=name,
            conditions=(
                (name, "set", None),
                ("finetuning_type", "is", "freeze"),
                ("freeze_extra_modules", "unset", None),
            ),
            notice=True,
        )
        for name in NEW_TOKENS
    ),
    *(
        Rule(
            code="not_with_zero3",
            field=name,
            conditions=((name, "set", None), ("deepspeed", "is", ("3", "3_offload"))),
        )
        for name in (*NEW_TOKENS, "use_asft_loss")
    ),
    Rule(
        code="shift_attn_and_flash",
        field="flash_attn",
        conditions=(_on("shift_attn"), ("flash_attn", "not", ("auto", "sdpa"))),
    ),
    Rule(
        code="upcast_and_pure",
        field="upcast_layernorm",
        conditions=(_on("upcast_layernorm"), _on("pure_bf16")),
    ),
    *(
        Rule(code="two_losses", field=second, conditions=(_on(first), _on(second)))
        for first, second in combinations(LOSSES, 2)
    ),
    *(
        Rule(
            code="smoothing_and_loss",
            field="label_smoothing_factor",
            conditions=(("label_smoothing_factor", "above", 0), _on(name)),
        )
        for name in LOSSES
    ),
    Rule(
        code="unsloth_needs_lora",
        field="use_unsloth",
        conditions=(_on("use_unsloth"), ("finetuning_type", "not", "lora")),
    ),
    *(
        Rule(code="unsloth_and", field=name, conditions=(_on("use_unsloth"), (name, "set", None)))
        for name in NOT_UNSLOTH
    ),
    Rule(
        code="unsloth_and",
        field="init_lora_weights",
        conditions=(_on("use_unsloth"), ("init_lora_weights", "not", "default")),
    ),
    Rule(
        code="unsloth_and",
        field="quantization_bit",
        conditions=(_on("use_unsloth"), ("quantization_bit", "is", "8")),
    ),
)

TUNING_RULES = OPTIMIZER_RULES + MODEL_RULES
