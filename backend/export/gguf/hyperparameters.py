"""The shape of a model in GGUF: its sizes, its norms, its experts and its attention window."""

from typing import Any

import gguf

from backend.export.gguf import rope
from backend.export.gguf.architectures import Scheme, layer_kinds
from backend.export.gguf.rope import SLIDING

LAYER_NORM_EPS = 1e-5  # of OLMo, whose settings do not have it
LAYER_NORMS = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")


def context_length(scheme: Scheme, config: Any) -> int:
    """Tokens within which llama.cpp computes the same as transformers."""
    longest = int(config.max_position_embeddings)
    window = getattr(config, "sliding_window", None)
    kinds = layer_kinds(config)
    slides = SLIDING in kinds if kinds else window is not None
    applied = scheme.period or scheme.listed
    return longest if applied or not (slides and window) else min(longest, int(window))


def write(writer: gguf.GGUFWriter, scheme: Scheme, config: Any) -> None:
    """Write all hyperparameters that llama.cpp reads."""
    writer.add_context_length(context_length(scheme, config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(_feed_forward(config))
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(scheme.key_heads(config))
    writer.add_key_length(rope.head_dim(config))
    writer.add_value_length(rope.head_dim(config))
    writer.add_vocab_size(config.vocab_size)
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        own = (getattr(config, name, None) for name in LAYER_NORMS)
        writer.add_layer_norm_eps(next((each for each in own if each), LAYER_NORM_EPS))
    for setting, method in scheme.written:
        value = getattr(config, setting)
        if value is not None:
            getattr(writer, method)(value)
    if scheme.listed and SLIDING in layer_kinds(config):
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern([kind == SLIDING for kind in layer_kinds(config)])
    elif scheme.period:
        writer.add_sliding_window(config.sliding_window)
    elif scheme.arch is gguf.MODEL_ARCH.PHI3:
        writer.add_sliding_window(0)  # llama.cpp takes a missing one for that of Phi-3 mini
    rope.write(writer, config)


def _feed_forward(config: Any) -> int:
    own = (
        getattr(config, name, None) for name in ("intermediate_size", "ffn_hidden_size", "n_inner")
    )
    return next((int(each) for each in own if each), 4 * int(config.hidden_size))
