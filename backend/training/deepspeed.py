"""DeepSpeed: a config of the person's own, or one of ours by its stage of ZeRO.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020.
Numbers that follow from other arguments are "auto": transformers fills them in.
"""

import json
from pathlib import Path
from typing import Any

from backend.contract.arguments.fields.training import ZERO
from backend.contract.arguments.typed import Arguments
from backend.contract.base import boundary
from backend.contract.base.files import write_atomic
from backend.contract.models.model_folder import local

NAME = "deepspeed.json"  # in the run folder: what was used


def arguments(values: Arguments, folder: Path, *, writes: bool) -> dict[str, Any]:
    """The TrainingArguments that DeepSpeed needs; none where it was not asked for.

    `writes` is whether this process keeps a copy of the config in the run's folder.
    """
    name = values.deepspeed or ""
    if not name:
        return {}
    config = _zero_config(name) if name in ZERO else _read_config(local(name))
    if writes:
        write_atomic(folder / NAME, json.dumps(config, indent=2))
    return {"deepspeed": config}


def _read_config(path: Path) -> dict[str, Any]:
    """The config in a person's file."""
    with open(path, "rb", opener=boundary.open_file) as file:
        config: dict[str, Any] = json.load(file)
    return config


def join() -> None:
    """Make the group known to DeepSpeed before the model is loaded: stage 3 spreads it at once."""
    import deepspeed

    deepspeed.init_distributed()


def _zero_config(name: str) -> dict[str, Any]:
    stage = int(name[0])
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
    }
    if stage == 3:
        zero |= {
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,  # else there is nothing to save
        }
    if name.endswith("_offload"):
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    auto = "auto"
    return {
        "train_batch_size": auto,
        "train_micro_batch_size_per_gpu": auto,
        "gradient_accumulation_steps": auto,
        "gradient_clipping": auto,
        "bf16": {"enabled": auto},
        "fp16": {"enabled": auto},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": zero,
    }
