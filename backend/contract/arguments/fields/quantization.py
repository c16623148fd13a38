"""Quantised loading (bitsandbytes, torchao), for QLoRA and for chat on a small card."""

from backend.contract.arguments.field_group import FieldGroup

LOADED = ("train", "eval", "chat", "api")
BITSANDBYTES_4 = (("quantization_bit", ("4",)), ("quantization_method", ("bnb",)))
QUANTIZATION = FieldGroup("quantization")


FIELDS = (
    QUANTIZATION.field("quantization_bit", "choice", None, choices=("4", "8"), tasks=LOADED),
    QUANTIZATION.choice(
        "quantization_method", ("bnb", "torchao"), (("quantization_bit", ("4", "8")),), tasks=LOADED
    ),
    QUANTIZATION.choice("quantization_type", ("nf4", "fp4"), BITSANDBYTES_4, tasks=LOADED),
    QUANTIZATION.field("double_quantization", "bool", True, BITSANDBYTES_4, tasks=LOADED),
)
