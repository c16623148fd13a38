"""The device that computes and its number format, both chosen automatically."""

import os
from dataclasses import dataclass

import torch

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import TRUE
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
HALVES: tuple[ArgumentName, ...] = ("pure_bf16", "bf16")
WISHES: tuple[ArgumentName, ...] = (*HALVES, "fp16")  # the first that is on


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The dtypes of weights and of the forward pass in training.

    frozen   dtype of weights that do not learn
    learned  dtype of weights that learn (float32 unless pure_bf16)
    bf16, fp16   whether the forward pass runs in mixed precision
    """

    frozen: torch.dtype
    learned: torch.dtype
    bf16: bool = False
    fp16: bool = False
    notices: tuple[Problem, ...] = ()


def device() -> str:
    """The best device of this machine, "cuda", "mps" or "cpu"; ACCELERATE_USE_CPU forces "cpu"."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in TRUE:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def training_precision(values: Arguments) -> Precision:
    """The precision for training: bf16 where the GPU has it, and on a processor where it is asked
    for; else float32, with a notice where another one was asked for."""
    wish = next((name for name in WISHES if values[name]), "")
    place = device()
    if place == "cuda" and wish == "fp16":
        return Precision(frozen=torch.float16, learned=torch.float32, fp16=True)
    automatic = values.bf16 is None and not wish
    able = place == "cuda" and (wish or automatic) and has_bf16()
    if able or (place == "cpu" and wish in HALVES):
        if wish == "pure_bf16":
            return Precision(frozen=torch.bfloat16, learned=torch.bfloat16)
        return Precision(frozen=torch.bfloat16, learned=torch.float32, bf16=True)
    notice = Problem(code="bf16_on_cpu", field=wish, params={"device": place}, notice=True)
    return Precision(frozen=torch.float32, learned=torch.float32, notices=(notice,) if wish else ())


def inference_dtype(values: Arguments) -> torch.dtype:
    """The dtype for answering: infer_dtype, else half precision on CUDA and float32 elsewhere."""
    name = values.infer_dtype
    if name in DTYPES:
        return DTYPES[name]
    if device() != "cuda":
        return torch.float32
    return torch.bfloat16 if has_bf16() else torch.float16


def has_bf16() -> bool:
    """Whether the GPU computes bfloat16 in hardware."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
