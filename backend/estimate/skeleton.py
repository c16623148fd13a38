"""The model of a training without weights: which of its weights learn, and its kinds of layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.model import adapters, freezing, load
from backend.model.device import training_precision
from backend.model.reference import OTHER

BLOCK = 64  # numbers that share a scale in bitsandbytes' 4 bits
OUTER_BLOCK = 256  # scales that share a scale where they are quantized, too


@dataclass(frozen=True)
class Skeleton:
    """A model on the device "meta" with a layer of each kind.

    names   the kind of each layer of the whole model, from the first to the last
    chosen  the kinds of the layers that are there
    """

    model: Any
    names: tuple[str, ...]
    chosen: tuple[str, ...]

    def parameters(self) -> Iterator[tuple[nn.Parameter, int]]:
        """The weights, each with how often the whole model has one like it."""
        times = [self.names.count(name) for name in self.chosen]
        stack = zip(layers_of(self.model), times, strict=True)
        inside = {id(each): count for layer, count in stack for each in layer.parameters()}
        for each in self.model.parameters():
            yield each, inside.get(id(each), 1)

    def count(self) -> tuple[int, int]:
        """The numbers of weights that learn, and of all."""
        counts = [(each.numel() * times, each.requires_grad) for each, times in self.parameters()]
        return sum(count for count, learns in counts if learns), sum(count for count, _ in counts)


@dataclass(frozen=True)
class Weights:
    """The weights of a model in bytes, and the shapes of those that learn.

    quantized  the part of `frozen` that is kept with 8 or 4 bits
    unpacked   bytes of the largest quantized weight in the dtype of arithmetic
    """

    frozen: int
    learned: int
    quantized: int
    unpacked: int
    shapes: tuple[torch.Size, ...]
    itemsize: int


def build(values: Arguments) -> Skeleton:
    """The model of a training on the device "meta", with its adapter and what learns in it.

    An adapter is put on a layer of each kind and on the first, before which nothing learns; to put
    it on all layers would take longer than all the rest. Raises UsageError and ModelError as
    loading does.
    """
    plain = values.replace(adapter_name_or_path=None, pissa_init=False, init_lora_weights="default")
    empty = load.empty_model(values)
    same: list[int] = []  # for each layer of the whole model the place of its like in the short one
    if is_adapter(values.finetuning_type):
        names = kinds(empty)
        first = {name: place for place, name in reversed([*enumerate(names)][1:])}
        layers = sorted({0, *first.values()})
        same = [0, *(layers.index(first[name]) for name in names[1:])]
        shorten(empty, layers)
    with torch.device("meta"):
        model = adapters.prepare(empty, [], plain)
    if values.stage == "rm":  # its output layer computes nothing, see stages.reward
        layer, words = model.get_output_embeddings(), model.get_input_embeddings()
        if layer.weight is not words.weight:
            layer.requires_grad_(requires_grad=False)
    names = kinds(model)
    whole = [names[place] for place in same] or names
    chosen = [names.index(name) for name in dict.fromkeys(names)]
    shorten(model, chosen)
    return Skeleton(model.train(), tuple(whole), tuple(names[index] for index in chosen))


def weigh(skeleton: Skeleton, values: Arguments) -> Weights:
    """The weights of a model of `build`, as they are in memory once it is loaded."""
    packed = _find_packed(skeleton.model, values)
    frozen = learned = quantized = unpacked = 0
    shapes: list[torch.Size] = []
    for each, times in skeleton.parameters():
        size = each.numel() * each.element_size()
        if each.requires_grad:
            learned += size * times
            shapes += [each.shape] * times
        elif id(each) in packed:
            quantized += _packed_size(each, values) * times
            unpacked = max(unpacked, size)
        else:
            frozen += size * times
    frozen += sum(each.numel() * each.element_size() for each in skeleton.model.buffers())
    itemsize = training_precision(values).learned.itemsize
    return Weights(frozen + quantized, learned, quantized, unpacked, tuple(shapes), itemsize)


def other_size(values: Arguments) -> int:
    """Bytes of a whole model beside the one that learns, which `values` name as their own."""
    empty = load.empty_model(values, dtype=training_precision(values).frozen)
    names = tuple(map(str, range(len(layers_of(empty)))))
    return weigh(Skeleton(empty.requires_grad_(requires_grad=False), names, names), values).frozen


def reference_size(values: Arguments) -> int:
    """Bytes of the reference model that the arguments name."""
    named = values.replace(ref_model=values.ref_model or values.model_name_or_path)
    return other_size(OTHER.loading_arguments(named))


def layers_of(model: Any) -> nn.ModuleList:
    """The layers of a model, wrapped or not."""
    return freezing.layers(adapters.base_of(model))[1]


def kinds(model: Any) -> list[str]:
    """A name for each layer, the same for those that are alike: weights, what of them learns, and
    whether a gradient passes through them to something before."""
    config = adapters.base_of(model).config.get_text_config()
    stack = layers_of(model)
    inside = {id(each) for each in stack.parameters()}
    reached = any(
        each.requires_grad and id(each) not in inside and not _is_output(model, each)
        for each in model.parameters()
    )
    names: dict[Any, str] = {}
    listed = []
    for index, layer in enumerate(stack):
        weights = [
            (name, each.shape, each.requires_grad) for name, each in layer.named_parameters()
        ]
        key = (reached, *weights, *_entries(config, len(stack), index))
        listed.append(names.setdefault(key, f"layer {len(names)}"))
        reached = reached or any(each.requires_grad for each in layer.parameters())
    return listed


def shorten(model: Any, chosen: Sequence[int]) -> None:
    """Keep only the chosen layers of the model, in their order."""
    config = adapters.base_of(model).config.get_text_config()
    stack = layers_of(model)
    count = len(stack)
    for key, entries in list(vars(config).items()):
        if isinstance(entries, list) and len(entries) == count:
            setattr(config, key, [entries[index] for index in chosen])
    layers = [stack[index] for index in chosen]
    del stack[len(layers) :]
    for place, layer in enumerate(layers):
        stack[place] = layer
        for part in layer.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = place  # type: ignore[assignment]
    config.num_hidden_layers = len(layers)


def _entries(config: Any, count: int, index: int) -> list[str]:
    """What the lists of a configuration with an entry for each layer say of one."""
    return [
        f"{key}={entries[index]}"
        for key, entries in vars(config).items()
        if isinstance(entries, list) and len(entries) == count
    ]


def _is_output(model: Any, weights: Tensor) -> bool:
    """Whether weights are behind the layers: the output layer, unless it is the embeddings', too,
    or the last norm, which has one dimension."""
    base = adapters.base_of(model)
    layer, words = base.get_output_embeddings(), base.get_input_embeddings().weight
    return weights is not words and (weights.ndim == 1 or weights is getattr(layer, "weight", None))


def _find_packed(model: Any, values: Arguments) -> set[int]:
    """Identities of the weights that quantization packs: linear layers but the output layer."""
    if not values.quantization_bit:
        return set()
    base = adapters.base_of(model)
    head = base.get_output_embeddings()
    return {
        id(part.weight)
        for part in base.modules()
        if isinstance(part, nn.Linear) and part is not head and not part.weight.requires_grad
    }


def _packed_size(weights: Tensor, values: Arguments) -> int:
    """Bytes of a weight [out, in] with 4 or 8 bits, with its scales."""
    count = weights.numel()
    if values.quantization_bit == "8":
        return count + 4 * weights.shape[0]
    blocks = -(-count // BLOCK)
    scales = blocks + 4 * -(-blocks // OUTER_BLOCK) if values.double_quantization else 4 * blocks
    return -(-count // 2) + scales
