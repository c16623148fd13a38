"""The stages that trl's own trainers carry, and what does not work together with them."""

from backend.contract.rule import Rule

TRL = ("rloo",)

# What trl's trainers would pass over in silence, or fail at only when the model is loaded.
NOT_WITH_TRL = ("deepspeed", "use_unsloth", "enable_liger_kernel", "shift_attn")

TRL_RULES: tuple[Rule, ...] = (
    *(
        Rule(
            code="not_with_trl",
            field=name,
            conditions=(("stage", "is", TRL), (name, "set", None)),
        )
        for name in NOT_WITH_TRL
    ),
    *(
        Rule(
            code="answers_are_drawn",
            field=name,
            conditions=(("stage", "is", TRL), (name, "is", 0.0)),
        )
        for name in ("temperature", "top_p")
    ),
    Rule(
        code="adalora_and_trl",
        field="finetuning_type",
        conditions=(("stage", "is", TRL), ("finetuning_type", "is", "adalora")),
    ),
    *(
        Rule(
            code="head_and_trl",
            field=name,
            conditions=(("stage", "is", TRL), (name, "lists", "lm_head")),
        )
        for name in ("lora_target", "oft_target")
    ),
)
