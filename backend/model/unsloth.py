"""LoRA with the unsloth package, which has kernels of its own for NVIDIA GPUs."""

import os
from pathlib import Path
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import Problem, UsageError
from backend.model.device import training_precision

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def model(values: Arguments, folder: Path, adapters: list[Path]) -> Any:
    """Load the model in `folder` with a new LoRA adapter that learns.

    Raises UsageError where there are adapters already, as unsloth makes its own.
    """
    if adapters:
        raise UsageError(Problem(code="unsloth_adapters", field="adapter_name_or_path"))
    os.environ["UNSLOTH_RETURN_LOGITS"] = "1"  # our losses are computed from them
    from unsloth import FastLanguageModel

    length = values.cutoff_len
    base, _ = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=length,
        dtype=training_precision(values).frozen,
        load_in_4bit=values.quantization_bit == "4",
        trust_remote_code=values.trust_remote_code,
    )
    targets = names(values.lora_target) or ["all"]
    rank = values.lora_rank
    return FastLanguageModel.get_peft_model(
        base,
        r=rank,
        lora_alpha=values.lora_alpha,
        lora_dropout=values.lora_dropout,
        target_modules=MODULES if "all" in targets else targets,
        modules_to_save=names(values.additional_target) or None,
        use_rslora=values.use_rslora,
        use_gradient_checkpointing=not values.disable_gradient_checkpointing,
        random_state=values.seed,
        max_seq_length=length,
    )
