"""What does not work together with the stages that trl's own trainers carry."""

from backend.contract.arguments.fields.stages import TRL
from backend.contract.arguments.rule import Condition, Rule

DISTILLATION: Condition = ("stage", "is", "distillation")

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
        code="teacher_required",
        field="teacher_model",
        conditions=(
            DISTILLATION,
            ("teacher_model", "unset", None),
            ("teacher_server", "unset", None),
        ),
    ),
    Rule(
        code="two_teachers",
        field="teacher_server",
        conditions=(DISTILLATION, ("teacher_model", "set", None), ("teacher_server", "set", None)),
    ),
    *(
        Rule(
            code="teacher_model_unset",
            field=name,
            conditions=(DISTILLATION, ("teacher_server", "set", None), (name, "set", None)),
        )
        for name in ("teacher_model_adapters", "teacher_model_quantization_bit")
    ),
    Rule(
        code="teacher_server_temperature",
        field="temperature",
        conditions=(
            DISTILLATION,
            ("teacher_server", "set", None),
            ("temperature", "not", 1.0),
        ),
    ),
    Rule(
        code="teacher_top_k_not_used",
        field="teacher_top_k",
        conditions=(
            DISTILLATION,
            ("teacher_server", "set", None),
            ("distillation_beta", "above", 0),
            ("teacher_top_k", "not", 20),
        ),
        notice=True,
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
