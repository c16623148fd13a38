"""Freeze tuning: choose layers and modules that learn, with or without LLaMA Pro blocks."""

from collections.abc import Collection
from typing import Any

from torch import nn

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Problem, UsageError
from backend.contract.registry.dataset_info import names
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
