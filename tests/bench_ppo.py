"""Peak memory of PPO, whose one base plays four parts, against fine-tuning the same LoRA."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.services.models.catalog import STARTER
from backend.contract.arguments.command import Command

ROOT = Path(__file__).parents[1]
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
SHARED = {
    "model_name_or_path": f"saves/models/{STARTER}",
    "dataset_dir": str(ROOT / "data"),
    "finetuning_type": "lora",
    "cutoff_len": 256,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "max_steps": 4,
    "logging_steps": 1,
    "overwrite_output_dir": True,
}
RUNS = {
    "sft": {"dataset": "general_en"},
    "rm": {"dataset": "preference_en"},
    "ppo": {
        "dataset": "general_en",
        "reward_model": "saves/rm",
        "max_new_tokens": 64,
        "top_p": 1.0,
        "top_k": 0,
    },
}


def ppo() -> None:
    """Peak resident memory (MB) of each stage's process, and what PPO takes beyond SFT's."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "saves" / "models").mkdir(parents=True)
        (home / "saves" / "models" / STARTER).symlink_to(ROOT / "saves" / "models" / STARTER)
        peaks = {stage: measured(home, stage) for stage in RUNS}
    for stage, peak in peaks.items():
        print(f"{stage:6}{peak:8.0f} MB{peak / peaks['sft']:8.2f} x SFT")


def measured(home: Path, stage: str) -> float:
    """Peak of one run (MB), which also leaves its folder in saves/<stage>."""
    values = {**SHARED, **RUNS[stage], "stage": stage, "output_dir": f"saves/{stage}"}
    command = [sys.executable, "-m", "backend", *Command.build("train", values).argv[1:]]
    run = home / "saves" / stage
    run.mkdir()
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command],
        cwd=home,
        env={**env, "TUNEBOARD_RUN": str(run)},  # the child of a supervisor, without one
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
