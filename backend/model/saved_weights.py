"""Write the weights of a model, and read them back: all of them, or those that learn.

A whole model has the tensors of the base under the names of the base. Unchanged tensors keep the
base's own bytes, and tensors that transformers does not load from the base are copied.

Checkpoints whose adapter file is derived also hold the exact weights that learn: PiSSA and OLoRA
are converted, AdaLoRA is cut to its ranks, soft prompts are computed by an encoder, and a resumed
run needs the weights as they were in memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from backend.contract.system.files import read_json
from backend.model import tensors, value_head
from backend.model.architecture import Architecture

Weights = dict[str, Tensor]


def save(
    model: Any,
    folder: Path,
    weights: Weights | None = None,
    *,
    dtype: torch.dtype | None = None,
    shard: int | str = "50GB",
) -> None:
    """Write the model with its configuration into a folder, in files of at most `shard` bytes.

    weights  gathered weights by their names in the model; None takes those of the model
    dtype    of all weights in the files; None keeps the base's dtype for unchanged tensors
    """
    base: Architecture = model.architecture
    parameters = dict(model.state_dict()) if weights is None else weights
    written = revert_weight_conversion(model, parameters)
    for name in _tied_names(model, parameters, written):
        if name in base.tensors:
            written[name] = written[name].clone()  # a file cannot hold the same memory twice
        else:
            del written[name]
    beside = dict(tensors.read(base.beside, base.tensors))
    if dtype is None:
        written |= beside | _unchanged_tensors(base.tensors, written)
    else:
        written |= {name: _cast(each, dtype) for name, each in beside.items()}
    model.save_pretrained(
        folder, state_dict=written, save_original_format=False, max_shard_size=shard
    )


def read(model: Any, folder: Path) -> None:
    """Load the weights that `save` wrote into the model, each in its own dtype."""
    dtype = tensors.widest(tensors.layout(folder))
    saved = type(model).from_pretrained(folder, config=model.config, dtype=dtype)
    with value_head.without_head(model):
        model.load_state_dict(saved.state_dict())


def _tied_names(model: Any, parameters: Weights, written: Weights) -> list[str]:
    """Names in the files of weights that share memory with others (tied embeddings), which gathered
    weights do not."""
    tied = getattr(model, "all_tied_weights_keys", {}).items()
    tied_weights = {
        id(parameters[name])
        for name, source in tied
        if {name, source} <= parameters.keys()
        and model.get_parameter(name) is model.get_parameter(source)
    }
    return [name for name, weights in written.items() if id(weights) in tied_weights]


def _cast(weights: Tensor, dtype: torch.dtype) -> Tensor:
    return weights.to(dtype) if weights.is_floating_point() else weights


def _unchanged_tensors(base: tensors.Layout, written: Mapping[str, Tensor]) -> Weights:
    """The base's tensors for which `written` has the same numbers in another dtype."""
    cast = [
        name
        for name, each in base.items()
        if name in written and each.dtype not in {None, written[name].dtype}
    ]
    return {
        name: weights
        for name, weights in tensors.read(cast, base)
        if torch.equal(weights.to(written[name].dtype), written[name].cpu())
    }


NAME = "learned.safetensors"
SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # AdaLoRA's importance scores of each weight


def write_trainable(model: Any, folder: Path) -> None:
    """Write all parameters that learn, and AdaLoRA's scores, into a checkpoint."""
    content = {name: each for name, each in model.named_parameters() if each.requires_grad}
    allocator = getattr(model.base_model, "rankallocator", None)
    for kind in SCORES if allocator else ():
        scores: dict[str, torch.Tensor] = getattr(allocator, kind)
        content |= {f"{kind}/{name}": each for name, each in scores.items()}
    save_file({name: each.detach().cpu().clone() for name, each in content.items()}, folder / NAME)


def read_trainable(model: Any, folder: Path) -> bool:
    """Load what `write` wrote into the model; False where the checkpoint has no such file."""
    if not (folder / NAME).is_file():
        return False
    content = load_file(folder / NAME)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if name in content:
                each.copy_(content[name])
    allocator = getattr(model.base_model, "rankallocator", None)
    if allocator:
        for kind in SCORES:
            scores = getattr(allocator, kind)
            for name, each in model.base_model.model.named_parameters():
                if f"{kind}/{name}" in content:
                    scores[name] = content[f"{kind}/{name}"].to(each.device)
        config = model.peft_config["default"]
        config.rank_pattern = read_json(folder / "adapter_config.json").get("rank_pattern")
    return True
