"""Quantize a model in loading with bitsandbytes or torchao; check folders quantized already."""

from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig, TorchAoConfig

from backend.contract.arguments.fields.methods import QUANTIZABLE
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import check_quantized
from backend.contract.preflight.requirements import quantization_of
from backend.contract.texts.problems import ModelError, Problem

FIELD = "model_name_or_path"
PACKED_ROWS = 32


def config(values: Arguments, compute: torch.dtype) -> Any:
    """The quantization config for the values, or None; `compute` is the dtype of arithmetic."""
    bits = values.quantization_bit
    if bits and values.quantization_method == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig

        return TorchAoConfig(Int8WeightOnlyConfig())
    if bits == "8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if bits == "4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_compute_dtype=compute,
            bnb_4bit_use_double_quant=values.double_quantization,
            bnb_4bit_quant_type=values.quantization_type,
        )
    return None


def keep_unpacked(model: Any, *, training: bool) -> None:
    """Keep bitsandbytes from repacking 4-bit weights for CPUs with AVX512-BF16 where that fails.

    It repacks at the first answer, rounds the arithmetic to bfloat16, and fails on layers whose
    rows are no multiple of 32 or whose columns are no multiple of the block. It is also switched
    off in training, which continues after an evaluation.
    """
    for part in model.modules():
        if getattr(part, "support_avx512bf16_for_cpu", False):
            rows, columns = part.out_features, part.in_features
            fits = rows % PACKED_ROWS == 0 and columns % part.weight.blocksize == 0
            part.support_avx512bf16_for_cpu = fits and not training


def unpack_in_loading(model_config: Any) -> None:
    """Let transformers 5.23 unpack weights of compressed-tensors when it loads them.

    Else it does so at the first answer, which saves no memory, and before that peft finds no
    weights to adapt. It unpacks all layers by one group of settings, so several are left alone.
    """
    settings = getattr(model_config, "quantization_config", None)
    if isinstance(settings, dict) and len(settings.get("config_groups") or ()) == 1:
        settings["dequantize"] = True


def require_loadable(folder: Path, values: Arguments, *, training: bool) -> None:
    """Raise ModelError where the quantized weights of a folder cannot be loaded or trained."""
    problems = check_quantized(folder, values)
    if problems:
        raise ModelError(*problems)
    method = quantization_of(folder)
    if training and method and values.finetuning_type not in QUANTIZABLE:
        params = {"path": str(folder), "method": method}
        raise ModelError(
            Problem(code="quantized_needs_lora", field="finetuning_type", params=params)
        )
