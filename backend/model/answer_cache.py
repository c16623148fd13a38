"""The keys and values of answers that are generated together: whether they can, joining, leaving.

Rows of one batch end at the same column; what is missing on the left of a shorter row is masked.
Every layer keeps all its tokens here, also one with a sliding window: its mask hides what lies
outside of the window, and rows can be cut and put together at any column. Behind its tokens is room
for more: the library's own layer copies all of them for each new one.
"""

from collections.abc import Sequence
from typing import Any

import psutil
import torch
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from backend.model.adapters import base_of

JOINABLE = {DynamicLayer, DynamicSlidingWindowLayer}
SPARE = 128  # tokens that a layer has room for when it has to be copied
MEMORY_SHARE = 4  # keys and values take at most one part in so many of the free memory
# What a model's generation_config.json may say that answers here take from their own request.
KNOWN_SETTINGS = {
    *("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens"),
    *("do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "use_cache"),
    *("transformers_version", "_from_model_config", "_commit_hash"),
}


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, each [rows, heads, tokens, size], as a part of more memory."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Note dtype and device of the first states."""
        super().lazy_initialization(key_states, value_states)
        self._rooms = _Room(), _Room()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the states [rows, heads, tokens, size] of further tokens; gives those of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self._rooms
        self.keys, self.values = keys.add(key_states), values.add(value_states)
        return self.keys, self.values


class _Room:
    """States of tokens, with memory for more."""

    def __init__(self) -> None:
        self._states: torch.Tensor | None = None
        self._length = 0

    def add(self, states: torch.Tensor) -> torch.Tensor:
        """Add states [rows, heads, tokens, size]; gives those of all tokens so far."""
        start, end = self._length, self._length + states.shape[-2]
        if self._states is None or end > self._states.shape[-2]:
            larger = states.new_empty(*states.shape[:-2], end + SPARE, states.shape[-1])
            if self._states is not None:
                larger[..., :start, :] = self._states[..., :start, :]
            self._states = larger
        self._states[..., start:end, :] = states
        self._length = end
        return self._states[..., :end, :]


def new_cache() -> DynamicCache:
    """A cache of no tokens."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = RoomyLayer
    return cache


def joins(model: Any) -> bool:
    """Whether answers of this model can be generated together, joining and leaving at any token.

    They cannot where the state of a text is no list of keys and values (state space models, linear
    attention), where learned tokens stand before it (prompt, prefix and p-tuning), for models that
    take pictures or sound, code of a model's own, and settings of generation of a model's own.
    """
    base = base_of(model)
    if not isinstance(base, PreTrainedModel) or base.is_remote_code():
        return False
    config = base.config.get_text_config()
    adapters = getattr(model, "peft_config", {}).values()
    kind = getattr(base, "architecture", None)
    settings = base.generation_config.to_diff_dict() if base.generation_config else {}
    own = {name for name, value in settings.items() if value}
    return (
        base.can_generate()
        and not config.is_encoder_decoder
        and not (kind is not None and kind.sees)
        and not any(adapter.is_prompt_learning for adapter in adapters)
        and not getattr(config, "num_kv_shared_layers", 0)
        and {type(layer) for layer in DynamicCache(config=config).layers} <= JOINABLE
        and own <= KNOWN_SETTINGS
    )


def room(model: Any) -> int:
    """The number of tokens, of all rows together, whose keys and values may be held at once."""
    return _free_memory(model.device) // MEMORY_SHARE // max(1, token_bytes(model))


def token_bytes(model: Any) -> int:
    """The bytes that the keys and values of one token take in all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * key_heads * size * model.dtype.itemsize)


def join(caches: Sequence[DynamicCache]) -> DynamicCache:
    """One cache with the rows of all, ended at one column; zeros stand left of shorter ones."""
    joined = new_cache()
    for index, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        length = max(layer.keys.shape[-2] for layer in layers)
        keys = torch.cat([pad_left(layer.keys, length) for layer in layers])
        values = torch.cat([pad_left(layer.values, length) for layer in layers])
        joined.update(keys, values, index)
    return joined


def select(cache: DynamicCache, rows: Sequence[int], start: int) -> DynamicCache:
    """A cache with these rows alone, from the column `start`."""
    selected = new_cache()
    for index, (keys, values, _) in enumerate(cache):
        selected.update(keys[list(rows), :, start:], values[list(rows), :, start:], index)
    return selected


def pad_left(states: torch.Tensor, length: int) -> torch.Tensor:
    """States [..., tokens, size] with zeros on the left, so that they are `length` tokens long."""
    return functional.pad(states, (0, 0, length - states.shape[-2], 0))


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
