"""Quantised loading with bitsandbytes."""

from collections.abc import Mapping

import torch
from transformers import BitsAndBytesConfig

from backend.contract.field import Value


def config(values: Mapping[str, Value], compute: torch.dtype) -> BitsAndBytesConfig | None:
    """The quantisation that was asked for, or None. `compute` is the dtype of the arithmetic."""
    bits = values.get("quantization_bit")
    if bits == "8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if bits == "4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_compute_dtype=compute,
            bnb_4bit_use_double_quant=bool(values.get("double_quantization")),
            bnb_4bit_quant_type=str(values.get("quantization_type") or "nf4"),
        )
    return None
