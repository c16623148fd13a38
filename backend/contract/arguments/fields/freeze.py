"""Freeze: which layers are trained while the others stay as they are."""

from backend.contract.arguments.field_group import FieldGroup

FREEZE = (("finetuning_type", ("freeze",)),)
FREEZING = FieldGroup("freeze")


FIELDS = (
    FREEZING.switch("use_llama_pro", (("finetuning_type", ("freeze", "lora")),)),
    FREEZING.count("freeze_trainable_layers", 2, -128, 128, FREEZE),
    FREEZING.field("freeze_trainable_modules", "list", "all", FREEZE),
    FREEZING.field("freeze_extra_modules", "list", None, FREEZE),
)
