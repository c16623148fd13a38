"""PiSSA and OLoRA: LoRA that starts as a part of the base weights, which is taken from the base.

Meng et al., "PiSSA", 2024; Buyukakyuz, "OLoRA", 2024. The saved adapter is plain LoRA over the
unchanged base: W - s B0 A0 + s B A = W + s [B, -B0] [A; A0], of twice the rank.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from backend.contract.arguments.typed import Arguments

START = "adapter_start"  # folder of the adapter before training, in the run's
WEIGHTS = "adapter_model.safetensors"


def is_fast(values: Arguments) -> bool:
    """Whether PiSSA starts from a randomised SVD.

    Such an adapter must be converted when it is saved, as plain peft would repeat the SVD with
    other random numbers and get another base.
    """
    return values.pissa_init and values.pissa_iter != -1


def converts(values: Arguments) -> bool:
    """Whether the trained adapter is saved as plain LoRA."""
    if values.finetuning_type != "lora":
        return False
    pissa = bool(values.pissa_init and values.pissa_convert)
    return pissa or is_fast(values) or values.init_lora_weights == "olora"


def keep_start(model: Any, run: Path) -> None:
    """Write A0 and B0 into the run's folder, unless they are there already."""
    start = run / START
    if not start.exists():
        start.mkdir(parents=True)
        save_file(_weights(model), start / WEIGHTS)


def save(model: Any, folder: Path, run: Path, state_dict: Any = None) -> None:
    """Write the adapter as plain LoRA over the unchanged base; the model is not changed."""
    begun = load_file(run / START / WEIGHTS)
    learned = _weights(model, state_dict)
    weights = {name: _concatenate(name, each, begun[name]) for name, each in learned.items()}
    config = copy.deepcopy(model.peft_config["default"])
    config.init_lora_weights = True
    config.inference_mode = True
    config.r *= 2
    # the scale of rsLoRA is alpha / sqrt(r), else alpha / r: it stays the same
    config.lora_alpha *= 2**0.5 if config.use_rslora else 2
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(folder)


def _weights(model: Any, state_dict: Any = None) -> dict[str, torch.Tensor]:
    state = get_peft_model_state_dict(model, state_dict=state_dict)
    return {name: each.detach().cpu().contiguous().clone() for name, each in state.items()}


def _concatenate(name: str, learned: torch.Tensor, begun: torch.Tensor) -> torch.Tensor:
    if ".lora_A" in name or ".lora_embedding_A" in name:
        return torch.cat([learned, begun], dim=0)
    if ".lora_B" in name or ".lora_embedding_B" in name:
        return torch.cat([learned, -begun], dim=1)
    return learned
