"""Freeze: only some layers learn."""

from backend.contract.arguments.rows import Rows

FREEZE = (("finetuning_type", ("freeze",)),)
FREEZE_ROWS = Rows("freeze")


ROWS = (
    FREEZE_ROWS.switch("use_llama_pro", (("finetuning_type", ("freeze", "lora")),)),
    FREEZE_ROWS.count("freeze_trainable_layers", 2, -128, 128, FREEZE),
    FREEZE_ROWS.row("freeze_trainable_modules", "list", "all", FREEZE),
    FREEZE_ROWS.row("freeze_extra_modules", "list", None, FREEZE),
)
