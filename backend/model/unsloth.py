"""LoRA through the unsloth package, which brings kernels of its own for NVIDIA GPUs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.contract.dataset_info import names
from backend.contract.field import Value
from backend.contract.problems import Problem, UsageError
from backend.model.device import training_precision

Values = Mapping[str, Value]
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def model(values: Values, folder: Path, adapters: list[Path]) -> Any:
    """The model in `folder` with a new LoRA adapter that learns.

    Raises UsageError where adapters are given: unsloth makes its own.
    """
    if adapters:
        raise UsageError(Problem(code="unsloth_adapters", field="adapter_name_or_path"))
    os.environ["UNSLOTH_RETURN_LOGITS"] = "1"  # our losses are computed from them
    from unsloth import FastLanguageModel

    length = int(values.get("cutoff_len") or 2048)
    base, _ = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=length,
        dtype=training_precision(values).frozen,
        load_in_4bit=values.get("quantization_bit") == "4",
        trust_remote_code=bool(values.get("trust_remote_code")),
    )
    targets = names(values.get("lora_target")) or ["all"]
    rank = int(values.get("lora_rank") or 8)
    return FastLanguageModel.get_peft_model(
        base,
        r=rank,
        lora_alpha=int(values.get("lora_alpha") or 2 * rank),
        lora_dropout=float(values.get("lora_dropout") or 0.0),
        target_modules=MODULES if "all" in targets else targets,
        modules_to_save=names(values.get("additional_target")) or None,
        use_rslora=bool(values.get("use_rslora")),
        use_gradient_checkpointing=not values.get("disable_gradient_checkpointing"),
        random_state=int(values.get("seed") or 0),
        max_seq_length=length,
    )
