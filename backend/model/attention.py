"""Attention implementation and position scaling, set on the model's configuration."""

import math
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import ModelError, Problem

IMPLEMENTATIONS = {
    "auto": None,
    "disabled": "eager",
    "sdpa": "sdpa",
    "fa2": "flash_attention_2",
    "fa3": "flash_attention_3",
}


def implementation(values: Arguments) -> str | None:
    """The name in transformers of the attention of flash_attn; None lets transformers choose."""
    return IMPLEMENTATIONS[values.flash_attn]


def upcast_norms(model: Any) -> None:
    """Keep the normalisation layers in float32, whatever the dtype of the others."""
    for part in model.modules():
        if "norm" in type(part).__name__.lower():
            part.float()


def require_experts(config: Any) -> None:
    """Raise ModelError where a model has no experts whose load could be balanced."""
    text_config = config.get_text_config()
    if not hasattr(text_config, "output_router_logits"):
        params = {"model": str(text_config.model_type)}
        raise ModelError(Problem(code="not_experts", field="moe_aux_loss_coef", params=params))


def scale_positions(config: Any, values: Arguments) -> None:
    """Stretch rotary positions so that longer texts fit; changes `config` in place.

    The factor is cutoff_len over the model's own length, or 2 where cutoff_len is not longer.
    Raises ModelError where the model has no rotary positions.
    """
    kind = values.rope_scaling
    if not kind:
        return
    text_config = config.get_text_config()
    length = getattr(text_config, "max_position_embeddings", None)
    rope = getattr(text_config, "rope_parameters", None)
    if not length or not isinstance(rope, dict) or "rope_theta" not in rope:
        raise ModelError(Problem(code="no_rope", field="rope_scaling"))
    wanted = values.cutoff_len if "cutoff_len" in values else 0
    factor = float(math.ceil(wanted / length)) if wanted > length else 2.0
    rope = {**rope, "rope_type": str(kind), "factor": factor}
    if kind in {"yarn", "llama3", "dynamic"}:
        rope["original_max_position_embeddings"] = length
    if kind == "llama3":
        rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    text_config.rope_parameters = rope
    text_config.max_position_embeddings = int(length * factor)
