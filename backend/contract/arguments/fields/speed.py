"""Options inside the model and its loss: attention, kernels, precision, experts."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

TOKENS: When = (("stage", ("pt", "sft")),)  # stages whose loss is that of the next token
SFT: When = (("stage", ("sft",)),)
SPEED = FieldGroup("speed")


FIELDS = (
    SPEED.switch("shift_attn"),
    SPEED.switch("use_unsloth"),
    SPEED.switch("use_reentrant_gc", (("disable_gradient_checkpointing", (False,)),)),
    SPEED.switch("upcast_layernorm"),
    SPEED.number("moe_aux_loss_coef", None, 0.0, 10.0, TOKENS),
    SPEED.number("label_smoothing_factor", 0.0, 0.0, 0.999, TOKENS),
    SPEED.switch("use_dft_loss", SFT),
    SPEED.switch("use_eaft_loss", SFT),
    SPEED.number("eaft_alpha", 1.0, 0.0, 10.0, (*SFT, ("use_eaft_loss", (True,)))),
    SPEED.switch("use_asft_loss", SFT),
    SPEED.number("asft_alpha", 0.1, 0.0, 10.0, (*SFT, ("use_asft_loss", (True,)))),
)
