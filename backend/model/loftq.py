"""LoftQ: an adapter that starts as a correction of the error of 4-bit quantisation.

Li et al., "LoftQ: LoRA-Fine-Tuning-Aware Quantization", 2023, with an unchanged
quantised base (one step of its iteration). A file in the adapter's folder marks that it fits the
quantised model only.
"""

import json
from pathlib import Path
from typing import Any

import torch

from backend.contract.base.problems import ModelError, Problem
from backend.model import tensors
from backend.model.architecture import Architecture

MARK = "quantized_base.json"  # the file that marks such an adapter folder


def initialize(model: Any, base: Path) -> None:
    """Set the new adapter to the best low-rank approximation of the quantisation error of `base`.

    s B A is the truncated singular value decomposition of W - Q. Raises ModelError where the
    folder has no weights under the name of a layer.
    """
    from bitsandbytes.functional import dequantize_4bit

    known: Architecture = model.architecture
    for name, part in model.get_base_model().named_modules():
        if not hasattr(part, "lora_A") or "default" not in part.lora_A:
            continue
        inner = part.get_base_layer().weight
        key = known.renamed.get(f"{name}.weight", f"{name}.weight")
        whole = _tensor(key, known, base).to(inner.device, torch.float32)
        dequantized = dequantize_4bit(inner.data, inner.quant_state).float()
        up, sizes, down = torch.linalg.svd((whole - dequantized) / part.scaling["default"])
        roots = sizes[: part.r["default"]].sqrt()  # fewer than the rank where a layer is narrower
        ups, downs = part.lora_B["default"].weight.data, part.lora_A["default"].weight.data
        ups.zero_()[:, : len(roots)] = up[:, : len(roots)] * roots
        downs[: len(roots)] = roots[:, None] * down[: len(roots)]


def _tensor(key: str, known: Architecture, base: Path) -> torch.Tensor:
    for _, weights in tensors.read([key] if key in known.tensors else [], known.tensors):
        return weights
    params = {"path": str(base), "name": key}
    raise ModelError(Problem(code="loftq_weights", field="init_lora_weights", params=params))


def mark(folder: Path) -> None:
    """Mark in the adapter's folder that it fits the quantised base only."""
    (folder / MARK).write_text(json.dumps({"quantization_bit": 4}) + "\n")


def require_quantized(model: Any, folder: Path) -> None:
    """Raise ModelError where such an adapter meets a model that is not quantised to 4 bits."""
    quantization = getattr(model.config, "quantization_config", None)
    if is_marked(folder) and not getattr(quantization, "load_in_4bit", False):
        params = {"path": str(folder)}
        raise ModelError(
            Problem(code="adapter_needs_4bit", field="quantization_bit", params=params)
        )


def is_marked(folder: Path) -> bool:
    """Whether an adapter folder is marked as one for the quantised base only."""
    return (folder / MARK).is_file()
