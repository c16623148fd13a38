"""Freeze tuning: choose layers and modules that learn, with or without LLaMA Pro blocks.

Block expansion puts new layers between the old ones that change nothing until they learn. Wu et
al., "LLaMA Pro: Progressive LLaMA with Block Expansion", 2024: after each group of layers comes a
copy of its last one whose projections back into the residual stream are zero.
"""

import copy
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.model import language


def layers(model: Any) -> tuple[str, nn.ModuleList]:
    """The name of the decoder layers in the model, and the layers. Raises UsageError for none."""
    wanted = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for name, part in language.modules(model):
        if isinstance(part, nn.ModuleList) and len(part) == wanted:
            return name, part
    raise UsageError(Problem(code="no_layers", field="finetuning_type"))


def layers_to_train(model: Any, values: Arguments) -> range:
    """The last n layers (freeze_trainable_layers n > 0) or the first n (n < 0)."""
    total = len(layers(model)[1])
    count = values.freeze_trainable_layers
    if not 0 < abs(count) <= total:
        params = {"value": count, "layers": total}
        raise UsageError(
            Problem(code="freeze_layers", field="freeze_trainable_layers", params=params)
        )
    return range(total - count, total) if count > 0 else range(-count)


def freeze(model: Any, chosen: Collection[int], values: Arguments) -> None:
    """Let only the chosen layers learn (or the named modules in them), plus named others."""
    prefix, stack = layers(model)
    inside = names(values.freeze_trainable_modules) or ["all"]
    extra = names(values.freeze_extra_modules)
    within = {part for each in stack[0].named_parameters() for part in each[0].split(".")[:-1]}
    outside = {
        part
        for name, _ in language.parameters(model)
        if not name.startswith(f"{prefix}.")
        for part in name.split(".")[:-1]
    }
    _require_known(inside, within | {"all"}, "freeze_trainable_modules")
    _require_known(extra, outside, "freeze_extra_modules")
    starts = tuple(f"{prefix}.{index}." for index in chosen)
    for name, weights in model.named_parameters():
        parts = set(name.split("."))
        in_layer = name.startswith(starts) and ("all" in inside or bool(parts & set(inside)))
        is_extra = not name.startswith(f"{prefix}.") and bool(parts & set(extra))
        weights.requires_grad_(in_layer or is_extra)


def _require_known(requested: list[str], known: set[str], field: str) -> None:
    unknown = [name for name in requested if name not in known]
    if unknown:
        params = {"value": ", ".join(unknown)[:80], "known": ", ".join(sorted(known))[:400]}
        raise UsageError(Problem(code="modules_unknown", field=field, params=params))


MARK = "expanded_layers"  # in config.json: the new layers' places in the expanded model
FIELD = "use_llama_pro"
# Names of the projections into the residual stream in attention, MLP and experts.
OUTPUTS = {"o_proj", "out_proj", "c_proj", "down_proj", "dense", "dense_4h_to_h", "fc2", "fc_out"}
OUTPUTS |= {"wo", "w2", "proj_out", "output_linear", "ff_out", "attn_out"}
TOLERANCE = 1e-3  # of the largest logit; half precision rounds


def blocks(model: Any) -> list[int]:
    """The indices of the new blocks in a model that has them (marked, or still with zeros)."""
    marked = getattr(model.config.get_text_config(), MARK, None)
    if marked:
        return [int(index) for index in marked]
    stack = layers(model)[1]
    return [index for index, layer in enumerate(stack) if _has_zero_outputs(layer)]


def expand(model: Any, values: Arguments) -> list[int]:
    """Insert freeze_trainable_layers new blocks unless there are some; returns their indices.

    Raises UsageError where the number of layers is not divisible by it, and ModelError where the
    expanded model would not compute the same function.
    """
    known = blocks(model)
    if known:
        return known
    name, stack = layers(model)
    old, count = len(stack), values.freeze_trainable_layers
    if count <= 0 or old % count:
        params = {"value": count, "layers": old}
        raise UsageError(
            Problem(code="llama_pro_layers", field="freeze_trainable_layers", params=params)
        )
    before = _logits(model)
    group = old // count
    ends = range(group, old + 1, group)
    sources = [each for end in ends for each in (*range(end - group, end), end - 1)]
    places = [(number + 1) * (group + 1) - 1 for number in range(count)]
    _rebuild(model, name, sources, places)
    _configure(model.config.get_text_config(), old, sources, places)
    after = _logits(model)
    if not torch.allclose(before, after, atol=TOLERANCE * float(before.abs().max())):
        raise _architecture_error(model)
    _require_same_when_loaded(model)
    return places


def _rebuild(model: Any, name: str, sources: list[int], places: list[int]) -> None:
    parent_name, _, attribute = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    stack = getattr(parent, attribute)
    parts = []
    for place, source in enumerate(sources):
        layer = copy.deepcopy(stack[source]) if place in places else stack[source]
        if place in places:
            for weights in _outputs(layer):
                nn.init.zeros_(weights)
        for part in layer.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = place
        parts.append(layer)
    setattr(parent, attribute, nn.ModuleList(parts))


def _configure(config: Any, old: int, sources: list[int], places: list[int]) -> None:
    """Extend every list of the configuration that has an entry for each layer."""
    for key, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == old:
            setattr(config, key, [value[source] for source in sources])
    config.num_hidden_layers = len(sources)
    setattr(config, MARK, places)


def _outputs(layer: nn.Module) -> list[torch.Tensor]:
    """Weights and biases of the projections into the residual stream."""
    return [weights for name, weights in layer.named_parameters() if OUTPUTS & set(name.split("."))]


def _has_zero_outputs(layer: nn.Module) -> bool:
    weights = _outputs(layer)
    return bool(weights) and not any(bool(each.any()) for each in weights)


def _logits(model: Any) -> torch.Tensor:
    """Logits of a few fixed tokens, float32."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(8, device=model.device)[None] * 37 % vocabulary
    training = model.training
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=ids, use_cache=False).logits.float()
    model.train(training)
    return logits


def _require_same_when_loaded(model: Any) -> None:
    """Raise ModelError where config.json alone would not build this very stack of layers."""
    with torch.device("meta"):
        built = type(model)(copy.deepcopy(model.config))
    pairs = zip(layers(model)[1], layers(built)[1], strict=True)
    if any(_describe_layer(expanded) != _describe_layer(loaded) for expanded, loaded in pairs):
        raise _architecture_error(model)


def _describe_layer(
    layer: nn.Module,
) -> list[tuple[str, dict[str, Any], list[tuple[str, torch.Size]]]]:
    """A layer's modules with their plain attributes (indices, windows, scales) and shapes."""
    return [
        (
            name,
            {
                key: value
                for key, value in vars(part).items()
                if isinstance(value, int | float | str | None)
                and not key.startswith("_")
                and key not in {"training", "gradient_checkpointing"}
            },
            [(key, weights.shape) for key, weights in part.named_parameters(recurse=False)],
        )
        for name, part in layer.named_modules()
    ]


def _architecture_error(model: Any) -> ModelError:
    params = {"architecture": type(model).__name__}
    return ModelError(Problem(code="llama_pro_unfit", field=FIELD, params=params))
