"""RoPE in GGUF: how positions turn the numbers of queries and keys."""

from collections.abc import Callable, Iterator
from typing import Any

import gguf
import numpy as np
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

FULL, SLIDING = "full_attention", "sliding_attention"


def ropes(config: Any) -> dict[str, dict[str, Any]]:
    """RoPE's parameters for each kind of layer, under FULL alone where all are alike; empty for a
    model whose positions are learned."""
    parameters = getattr(config, "rope_parameters", None)
    if not parameters:
        return {}
    return parameters if FULL in parameters else {FULL: parameters}


def head_dim(config: Any) -> int:
    """Numbers of a head."""
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def tensors(config: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the divisors of RoPE's frequencies where they differ, by the names of their tensors."""
    rope = ropes(config).get(FULL, {})
    kind = rope.get("rope_type")
    if kind == "llama3":
        plain = 1.0 / rope["rope_theta"] ** (
            np.arange(0, _rotary_dims(config), 2) / _rotary_dims(config)
        )
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        yield "rope_freqs.weight", (plain / scaled.numpy()).astype(np.float32)
    if kind == "longrope":
        for length in ("long", "short"):
            factors = np.array(rope[f"{length}_factor"], dtype=np.float32)
            yield f"rope_factors_{length}.weight", factors


def write(writer: gguf.GGUFWriter, config: Any) -> None:
    """Write what turns, how fast, and how it is stretched to longer texts."""
    kinds = ropes(config)
    if not kinds:
        return
    writer.add_rope_dimension_count(_rotary_dims(config))
    writer.add_rope_freq_base(kinds[FULL]["rope_theta"])
    if SLIDING in kinds:
        writer.add_rope_freq_base_swa(kinds[SLIDING]["rope_theta"])
    WRITERS[kinds[FULL]["rope_type"]](writer, kinds[FULL], config)


def _write_linear(writer: gguf.GGUFWriter, rope: dict[str, Any], _: Any) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(rope["factor"])


def _write_yarn(writer: gguf.GGUFWriter, rope: dict[str, Any], config: Any) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_rope_scaling_yarn_beta_fast(float(rope.get("beta_fast") or 32))
    writer.add_rope_scaling_yarn_beta_slow(float(rope.get("beta_slow") or 1))


def _write_longrope(writer: gguf.GGUFWriter, rope: dict[str, Any], config: Any) -> None:
    original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
    writer.add_rope_scaling_orig_ctx_len(original)
    _, factor = ROPE_INIT_FUNCTIONS["longrope"](config, "cpu")
    writer.add_rope_scaling_attn_factors(float(factor))


# By rope_type.
WRITERS: dict[str, Callable[[gguf.GGUFWriter, dict[str, Any], Any], None]] = {
    "default": lambda *_: None,
    "linear": _write_linear,
    "llama3": lambda *_: None,  # in tensors
    "longrope": _write_longrope,
    "yarn": _write_yarn,
}


def _rotary_dims(config: Any) -> int:
    """How many numbers of a head RoPE rotates."""
    part = ropes(config)[FULL].get("partial_rotary_factor") or 1.0
    return int(head_dim(config) * part)
