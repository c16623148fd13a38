"""Rules of the methods: options of LoRA alone, starts that change the base, soft prompts."""

from backend.contract.arguments.methods import NOT_CONTINUED, SOFT_PROMPTS
from backend.contract.arguments.rule import Rule
from backend.contract.arguments.stages import DRAWING

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
