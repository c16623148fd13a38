"""Quantised loading (bitsandbytes, torchao), for QLoRA and for chat on a small card."""

from backend.contract.arguments.field import Field

LOADED = ("train", "eval", "chat", "api")
BITSANDBYTES_4 = (("quantization_bit", ("4",)), ("quantization_method", ("bnb",)))

ROWS = (
    Field(
        name="quantization_bit",
        kind="choice",
        default=None,
        group="quantization",
        choices=("4", "8"),
        tasks=LOADED,
        optional=True,
    ),
    Field(
        name="quantization_method",
        kind="choice",
        default="bnb",
        group="quantization",
        choices=("bnb", "torchao"),
        tasks=LOADED,
        when=(("quantization_bit", ("4", "8")),),
    ),
    Field(
        name="quantization_type",
        kind="choice",
        default="nf4",
        group="quantization",
        choices=("nf4", "fp4"),
        tasks=LOADED,
        when=BITSANDBYTES_4,
    ),
    Field(
        name="double_quantization",
        kind="bool",
        default=True,
        group="quantization",
        tasks=LOADED,
        when=BITSANDBYTES_4,
    ),
)
