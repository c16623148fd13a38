"""Freeze: only some layers learn."""

from backend.contract.arguments.field import Field

FREEZE = (("finetuning_type", ("freeze",)),)

ROWS = (
    Field(
        name="use_llama_pro",
        kind="bool",
        default=False,
        group="freeze",
        when=(("finetuning_type", ("freeze", "lora")),),
    ),
    Field(
        name="freeze_trainable_layers",
        kind="int",
        default=2,
        group="freeze",
        low=-128,
        high=128,
        when=FREEZE,
    ),
    Field(
        name="freeze_trainable_modules",
        kind="list",
        default="all",
        group="freeze",
        when=FREEZE,
    ),
    Field(
        name="freeze_extra_modules",
        kind="list",
        default=None,
        group="freeze",
        when=FREEZE,
        optional=True,
    ),
)
