"""Tricks inside the model and its loss: attention, boosters, precision, experts."""

from backend.contract.arguments.field import Field, Value, When

TOKENS: When = (("stage", ("pt", "sft")),)  # stages whose loss is that of the next token
SFT: When = (("stage", ("sft",)),)


def _row(name: str, kind: str, default: Value, when: When = (), **more: object) -> Field:
    given: dict[str, object] = {"group": "speed", "when": when, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


def _number(name: str, default: float | None, high: float, when: When) -> Field:
    return _row(name, "float", default, when, low=0.0, high=high, optional=default is None)


ROWS = (
    _row("shift_attn", "bool", False),
    _row("use_unsloth", "bool", False),
    _row("use_reentrant_gc", "bool", False, (("disable_gradient_checkpointing", (False,)),)),
    _row("upcast_layernorm", "bool", False),
    _number("moe_aux_loss_coef", None, 10.0, TOKENS),
    _number("label_smoothing_factor", 0.0, 0.999, TOKENS),
    _row("use_dft_loss", "bool", False, SFT),
    _row("use_eaft_loss", "bool", False, SFT),
    _number("eaft_alpha", 1.0, 10.0, (*SFT, ("use_eaft_loss", (True,)))),
    _row("use_asft_loss", "bool", False, SFT),
    _number("asft_alpha", 0.1, 10.0, (*SFT, ("use_asft_loss", (True,)))),
)
