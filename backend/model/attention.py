"""Attention: its implementation, position scaling, and shifted sparse attention (S2).

S2, attention in groups for training on long texts: Chen et al., "LongLoRA: Efficient Fine-tuning of
Long-Context Large Language Models", 2024. Half of the heads see groups that are shifted by half a
group, so that information passes between groups. Nothing wraps around, whereas the paper's roll
lets the first tokens see the last ones. Answers are generated with full attention.
"""

import functools
import math
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import ModelError, Problem

GROUPS = 4  # in a text of the cutoff length


def apply(model: Any, cutoff: int) -> None:
    """Set attention in groups of a quarter of `cutoff` tokens for training.

    Raises ModelError where the model has an attention of its own.
    """
    group = max(2, cutoff // GROUPS // 2 * 2)
    name = f"s2_{group}"
    AttentionInterface.register(name, functools.partial(forward, group=group))
    AttentionMaskInterface.register(name, sdpa_mask)
    config = model.config.get_text_config()
    capped = getattr(config, "attn_logit_softcapping", None)
    if capped or not getattr(model, "_supports_attention_backend", False):
        params = {"model": str(config.model_type)}
        raise ModelError(Problem(code="shift_attn_model", field="shift_attn", params=params))
    model.set_attn_implementation(name)


def forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    group: int,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer, in groups in training on a text longer than a group, else full.

    query is [rows, heads, length, size], key and value may have fewer heads; attention_mask is
    [rows, 1, length, length] (True: may see), or None where every token sees all before it.
    Returns [rows, length, heads, size].
    """
    length = query.shape[2]
    if not module.training or length <= group or key.shape[2] != length:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    heads = query.shape[1]
    key, value = (repeat_kv(each, heads // each.shape[1]) for each in (key, value))
    dropout, scale = kwargs.get("dropout") or 0.0, kwargs.get("scaling")
    halves = []
    for part, shift in ((slice(heads // 2), 0), (slice(heads // 2, None), group // 2)):
        queries, keys, values = (_fold(each[:, part], group, shift) for each in (query, key, value))
        mask = _mask(attention_mask, length, group, shift).to(query.device)
        attended = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=_repeat_for_heads(mask, query.shape[0]),
            dropout_p=dropout,
            scale=scale,
        )
        halves.append(_unfold(attended, query.shape[0], length, shift))
    return torch.cat(halves, dim=1).transpose(1, 2).contiguous(), None


def _fold(states: torch.Tensor, group: int, shift: int) -> torch.Tensor:
    """Reshape [rows, heads, length, size] to [rows * groups, heads, group, size] with padding."""
    rows, heads, length, size = states.shape
    states = functional.pad(states, (0, 0, shift, -(length + shift) % group))
    states = states.view(rows, heads, -1, group, size).transpose(1, 2)
    return states.reshape(-1, heads, group, size)


def _unfold(states: torch.Tensor, rows: int, length: int, shift: int) -> torch.Tensor:
    """Undo _fold and remove the padding."""
    _, heads, _, size = states.shape
    whole = states.view(rows, -1, heads, states.shape[2], size).transpose(1, 2)
    return whole.reshape(rows, heads, -1, size)[:, :, shift : shift + length]


def _mask(attention_mask: torch.Tensor | None, length: int, group: int, shift: int) -> torch.Tensor:
    """The mask of each group, bool [rows or 1, groups, group, group]; True: may see.

    Padding sees itself, so that no row of the softmax is empty; no other token sees it.
    """
    real = functional.pad(torch.ones(length, dtype=torch.bool), (shift, -(length + shift) % group))
    groups = real.view(1, -1, group)
    itself = torch.eye(group, dtype=torch.bool)
    if attention_mask is None:
        return groups[:, :, None, :] & torch.ones(group, group, dtype=torch.bool).tril() | itself
    ends = (shift, -(length + shift) % group)
    padded = functional.pad(attention_mask[:, 0], (*ends, *ends), value=False)
    count = padded.shape[-1] // group
    blocks = padded.view(padded.shape[0], count, group, count, group)
    return blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1) | itself.to(attention_mask.device)


def _repeat_for_heads(mask: torch.Tensor, rows: int) -> torch.Tensor:
    """Expand [rows or 1, groups, group, group] to [rows * groups, 1, group, group]."""
    return mask.expand(rows, -1, -1, -1).reshape(-1, 1, *mask.shape[-2:])


IMPLEMENTATIONS = {
    "auto": None,
    "disabled": "eager",
    "sdpa": "sdpa",
    "fa2": "flash_attention_2",
    "fa3": "flash_attention_3",
}
HERE = ("eager", "sdpa")  # those that torch alone computes


def implementation(values: Arguments) -> str | None:
    """The name in transformers of the attention of flash_attn; None lets transformers choose."""
    return IMPLEMENTATIONS[values.flash_attn]


def upcast_norms(model: Any) -> None:
    """Keep the normalization layers in float32, whatever the dtype of the others."""
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
