"""Which architectures llama.cpp computes as transformers does, and their hyperparameters in GGUF.

What llama.cpp cannot compute in the same way is refused: it would load and answer wrongly. A
sliding window that it does not know shortens the context length to the window, within which the
window changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from backend.contract.texts.problems import ModelError, Problem

FIELD = "export_format"
SILU = (("hidden_act", ("silu", "swish")),)
GELU = (("hidden_activation", ("gelu_pytorch_tanh",)),)
FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Scheme:
    """How llama.cpp computes an architecture.

    arch     its name there
    fixed    settings that llama.cpp does not read, with the values that it assumes
    rotated  rows of q and k are stored so that the two numbers that RoPE rotates are neighbours
    offset   what is added to the weights of norms: transformers' Gemma computes (1 + weight)
    period   every so many layers one attends to everything and the others to a window (0: all
             layers are alike)
    """

    arch: gguf.MODEL_ARCH
    fixed: tuple[tuple[str, tuple[Any, ...]], ...] = SILU
    rotated: bool = False
    offset: float = 0.0
    period: int = 0

    @property
    def name(self) -> str:
        """The value of general.architecture."""
        return str(gguf.MODEL_ARCH_NAMES[self.arch])


GEMMA_FIXED = (*GELU, ("tie_word_embeddings", (True,)), ("attention_bias", (False,)))
# By the class that config.json names.
SCHEMES = {
    "LlamaForCausalLM": Scheme(gguf.MODEL_ARCH.LLAMA, rotated=True),
    "MistralForCausalLM": Scheme(gguf.MODEL_ARCH.LLAMA, rotated=True),
    "Qwen2ForCausalLM": Scheme(gguf.MODEL_ARCH.QWEN2),
    "Qwen3ForCausalLM": Scheme(gguf.MODEL_ARCH.QWEN3, (*SILU, ("attention_bias", (False,)))),
    "Phi3ForCausalLM": Scheme(gguf.MODEL_ARCH.PHI3),
    "Gemma2ForCausalLM": Scheme(gguf.MODEL_ARCH.GEMMA2, GEMMA_FIXED, offset=1.0, period=2),
    "Gemma3ForCausalLM": Scheme(
        gguf.MODEL_ARCH.GEMMA3,
        (*GEMMA_FIXED, ("attn_logit_softcapping", (None,)), ("final_logit_softcapping", (None,))),
        offset=1.0,
        period=6,
    ),
}


def scheme_of(kind: str, config: Any) -> Scheme:
    """The scheme of a model class with this configuration.

    Raises ModelError where llama.cpp, or this writer, would compute something else.
    """
    scheme = SCHEMES.get(kind)
    if scheme is None:
        known = ", ".join(name.removesuffix("ForCausalLM") for name in SCHEMES)
        raise _error("gguf_architecture", architecture=kind, choices=known)
    for name, values in scheme.fixed:
        if getattr(config, name, values[0]) not in values:
            raise _setting(name, getattr(config, name))
    if scheme.period and _layer_kinds(config) != _periodic(config.num_hidden_layers, scheme.period):
        raise _setting("layer_types", "...")
    if scheme.offset and config.query_pre_attn_scalar != config.head_dim:
        raise _setting("query_pre_attn_scalar", config.query_pre_attn_scalar)
    for rope in _ropes(config).values():
        if rope.get("rope_type", "default") not in ROPES:
            raise _setting("rope_type", rope["rope_type"])
        if rope.get("mscale") or (rope["rope_type"] == "yarn" and rope.get("attention_factor")):
            raise _setting("rope_parameters", rope)
    return scheme


def context_length(scheme: Scheme, config: Any) -> int:
    """Tokens within which llama.cpp computes the same as transformers."""
    longest = int(config.max_position_embeddings)
    window = getattr(config, "sliding_window", None)
    kinds = _layer_kinds(config)
    slides = SLIDING in kinds if kinds else window is not None
    return longest if scheme.period or not (slides and window) else min(longest, int(window))


def write_hyperparameters(writer: gguf.GGUFWriter, scheme: Scheme, config: Any) -> None:
    """Write the shape of the model, its norms, its RoPE and its attention window."""
    heads = config.num_attention_heads
    head_dim = _head_dim(config)
    writer.add_context_length(context_length(scheme, config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if scheme.period:
        writer.add_sliding_window(config.sliding_window)
    elif scheme.arch is gguf.MODEL_ARCH.PHI3:
        writer.add_sliding_window(0)  # llama.cpp takes a missing one for that of Phi-3 mini
    if scheme.arch is gguf.MODEL_ARCH.GEMMA2:
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    _write_rope(writer, scheme, config)


def rope_tensors(config: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the divisors of RoPE's frequencies where they differ, by the names of their tensors."""
    rope = _ropes(config)[FULL]
    if rope["rope_type"] == "llama3":
        plain = 1.0 / rope["rope_theta"] ** (
            np.arange(0, _rotary_dims(config), 2) / _rotary_dims(config)
        )
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        yield "rope_freqs.weight", (plain / scaled.numpy()).astype(np.float32)
    if rope["rope_type"] == "longrope":
        for length in ("long", "short"):
            factors = np.array(rope[f"{length}_factor"], dtype=np.float32)
            yield f"rope_factors_{length}.weight", factors


def _write_rope(writer: gguf.GGUFWriter, scheme: Scheme, config: Any) -> None:
    ropes = _ropes(config)
    writer.add_rope_dimension_count(_rotary_dims(config))
    writer.add_rope_freq_base(ropes[FULL]["rope_theta"])
    if SLIDING in ropes and scheme.arch is gguf.MODEL_ARCH.GEMMA3:
        writer.add_rope_freq_base_swa(ropes[SLIDING]["rope_theta"])
    ROPES[ropes[FULL]["rope_type"]](writer, ropes[FULL], config)


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


ROPES: dict[str, Callable[[gguf.GGUFWriter, dict[str, Any], Any], None]] = {
    "default": lambda *_: None,
    "linear": _write_linear,
    "llama3": lambda *_: None,  # in rope_tensors
    "longrope": _write_longrope,
    "yarn": _write_yarn,
}


def _ropes(config: Any) -> dict[str, dict[str, Any]]:
    """RoPE's parameters for each kind of layer; under FULL alone where all are alike."""
    parameters = config.rope_parameters
    return parameters if FULL in parameters else {FULL: parameters}


def _rotary_dims(config: Any) -> int:
    """How many numbers of a head RoPE rotates."""
    part = _ropes(config)[FULL].get("partial_rotary_factor") or 1.0
    return int(_head_dim(config) * part)


def _head_dim(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def _layer_kinds(config: Any) -> list[str]:
    return list(getattr(config, "layer_types", None) or [])


def _periodic(layers: int, period: int) -> list[str]:
    return [SLIDING if (layer + 1) % period else FULL for layer in range(layers)]


def _setting(name: str, value: Any) -> ModelError:
    return _error("gguf_setting", name=name, value=str(value)[:80])


def _error(code: str, **params: str) -> ModelError:
    return ModelError(Problem(code=code, field=FIELD, params=params))
