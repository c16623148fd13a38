"""The trainer class of each stage, imported only when the stage is trained."""

import importlib
import os
from typing import Any

STAGES = {
    "pt": "pretrain.PretrainTrainer",
    "sft": "sft.SftTrainer",
    "rm": "reward.RewardTrainer",
    "ppo": "ppo.PpoTrainer",
    "dpo": "dpo.DpoTrainer",
    "kto": "kto.KtoTrainer",
    "grpo": "grpo.GrpoTrainer",
    "rloo": "rloo.RlooTrainer",
    "online_dpo": "online_dpo.OnlineDpoTrainer",
    "distillation": "distillation.DistillationStage",
}


def stage_trainer(stage: str) -> Any:
    """The trainer class of a stage; only that one's module is imported."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # its warning names a line of our code
    module, name = STAGES[stage].split(".")
    return getattr(importlib.import_module(f"backend.stages.{module}"), name)
