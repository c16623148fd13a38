"""Save the exact weights that learn, for checkpoints whose adapter file is derived from them.

PiSSA and OLoRA are converted, AdaLoRA is cut to its ranks, soft prompts are computed by an encoder:
a resumed run needs the weights as they were in memory.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from backend.contract.base.files import read_json

NAME = "learned.safetensors"
SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # AdaLoRA's importance scores of each weight


def write(model: Any, folder: Path) -> None:
    """Write all parameters that learn, and AdaLoRA's scores, into a checkpoint."""
    content = {name: each for name, each in model.named_parameters() if each.requires_grad}
    allocator = getattr(model.base_model, "rankallocator", None)
    for kind in SCORES if allocator else ():
        scores: dict[str, torch.Tensor] = getattr(allocator, kind)
        content |= {f"{kind}/{name}": each for name, each in scores.items()}
    save_file({name: each.detach().cpu().clone() for name, each in content.items()}, folder / NAME)


def read(model: Any, folder: Path) -> bool:
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
