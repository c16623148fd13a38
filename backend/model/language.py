"""The language model inside a model that also takes pictures or sound; only it learns from text.

The other parts (towers, connectors, projectors) are not trained.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from backend.contract.texts.problems import ModelError, Problem
from backend.running.failures import is_out_of_memory

FIELD = "model_name_or_path"
IDS = ((1, 2, 3, 4), (1, 2, 3, 5))  # two short texts that differ in their last token
TOLERANCE = 1e-3  # of the largest logit; half precision rounds
# Errors of a forward pass that needs a picture or sound.
REFUSALS = (ValueError, TypeError, RuntimeError, AttributeError, LookupError, NotImplementedError)


def is_part(config: Any) -> bool:
    """Whether the language model is only a part of the model that a configuration describes."""
    return bool(_other_configs(config)) or config.get_text_config() is not config


def modules(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Yield names and modules of the language model: all of them where there are no other parts."""
    others = _others(model)
    for name, part in model.named_modules():
        if not _lies_in(name, others):
            yield name, part


def parameters(model: Any) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield names and weights of the language model."""
    others = _others(model)
    for name, weights in model.named_parameters():
        if not _lies_in(name, others):
            yield name, weights


def freeze_others(model: Any) -> None:
    """Freeze all weights outside the language model."""
    others = _others(model)
    for name, weights in model.named_parameters():
        if _lies_in(name, others):
            weights.requires_grad_(requires_grad=False)


def full_names(model: Any, wanted: Iterable[str]) -> list[str]:
    """The full names of the language model's modules whose names end with one of `wanted`."""
    ends = tuple(wanted)
    return [
        name
        for name, _ in modules(model)
        if any(name == end or name.endswith(f".{end}") for end in ends)
    ]


def other_parts(model: Any) -> tuple[list[str], int]:
    """Names of the parts for pictures or sound, and their number of parameters together."""
    others = _others(model)
    count = sum(
        weights.numel() for name, weights in model.named_parameters() if _lies_in(name, others)
    )
    return sorted(name for name in others if name), count


def require_text(model: Any) -> None:
    """Raise ModelError where the model needs more than text, or its attention looks ahead.

    Two short texts are run through it; its training mode and the random state do not change.
    """
    if not (is_part(model.config) or getattr(model.config, "is_decoder", None) is False):
        return
    if is_deepspeed_zero3_enabled():  # no process has all weights
        return
    ids = torch.tensor(IDS, device=model.get_input_embeddings().weight.device)
    training = model.training
    try:
        with torch.no_grad(), torch.random.fork_rng():
            model.train()(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
            outputs = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    except REFUSALS as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _error("model_not_on_text", model, reason=reason) from error
    finally:
        model.train(training)
    first, second = outputs.logits[:, :-1].float()
    if (first - second).abs().max() > TOLERANCE * first.abs().max():
        raise _error("model_looks_ahead", model)


def _others(model: Any) -> frozenset[str]:
    """Names of the modules and parameters of the parts for pictures or sound.

    These are all modules beside the decoder, its head and its embeddings, and those inside the
    decoder that contain a model with another configuration than that of the text.
    """
    if not is_part(model.config):
        return frozenset()
    names = {id(part): name for name, part in model.named_modules()}
    own = (model.get_decoder(), model.get_output_embeddings(), model.get_input_embeddings())
    inside = {names[id(part)] for part in own if part is not None}
    foreign = _other_models(model)
    others = set()
    for name, _ in model.named_parameters():
        if not _lies_in(name, inside):
            others.add(_branch(name, inside))
    for name in foreign:
        around = max((each for each in inside if _lies_in(name, {each})), key=len, default=None)
        if around is not None:
            others.add(_child(name, around))
    return frozenset(others)


def _other_models(model: Any) -> list[str]:
    """Names of the inner models with the configuration of a part for pictures or sound."""
    kinds = tuple({type(each) for each in _other_configs(model.config)})
    return [
        name
        for name, part in model.named_modules()
        if name and isinstance(part, PreTrainedModel) and isinstance(part.config, kinds)
    ]


def _other_configs(config: Any) -> list[Any]:
    """The configurations inside a configuration, without that of the text."""
    text = config.get_text_config()
    return [
        each
        for each in vars(config).values()
        if isinstance(each, PreTrainedConfig) and each is not text
    ]


def _branch(name: str, inside: Iterable[str]) -> str:
    """The name of the largest module around a parameter that contains nothing of `inside`."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        prefix = ".".join(parts[:length])
        if not any(_lies_in(each, {prefix}) for each in inside):
            return prefix
    return name


def _child(name: str, around: str) -> str:
    """The name of the direct child of the module `around` that contains the module `name`."""
    rest = name.removeprefix(f"{around}.") if around else name
    first = rest.split(".")[0]
    return f"{around}.{first}" if around else first


def _lies_in(name: str, prefixes: Iterable[str]) -> bool:
    return any(not prefix or name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _error(code: str, model: Any, **more: str) -> ModelError:
    params = {"architecture": type(model).__name__, "path": str(model.name_or_path), **more}
    return ModelError(Problem(code=code, field=FIELD, params=params))
