"""What must hold for any model, through the command alone: `tuneboard train` and `export`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from backend.contract.runs import metrics
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS

ROOT = Path(__file__).parents[2]
STEADY = ("--group_by_length", "False", "--disable_shuffling", "True")
TEXTS = torch.arange(3, 35).reshape(2, 16)


def tuneboard(home: Path, task: str, model: Path, *words: str) -> None:
    """One command, run to its good end."""
    if not (home / "data" / "sums.json").exists():
        write_dataset(home, "sums", ROWS[:8])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "backend", task),
            *("--model_name_or_path", str(model), "--template", "auto", *words),
        ],
        cwd=home,
        env={**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def train(home: Path, model: Path, name: str, **values: object) -> Path:
    """The folder of a run on eight rows."""
    given = {"dataset": "sums", "output_dir": f"saves/{name}", "logging_steps": 1, **values}
    given = {"gradient_accumulation_steps": 1, "learning_rate": 1e-3, **given}
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    tuneboard(home, "train", model, *words, *STEADY)
    return home / "saves" / name


def losses(folder: Path) -> list[float]:
    rows, _ = metrics.read(folder / "metrics.jsonl")
    return [row.loss for row in rows if row.loss is not None]


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=TEXTS).logits
    return found


def test_four_times_one_is_one_times_four(workspace: Path, tiny_model_dir: Path) -> None:
    """Loss of each step within 1e-5, whether four rows come at once or one after the other."""
    given = {"finetuning_type": "full", "max_steps": 4}
    sizes = ("per_device_train_batch_size", "gradient_accumulation_steps")
    found = [
        losses(
            train(
                *(workspace, tiny_model_dir, f"batch{a}"),
                **{**given, **dict(zip(sizes, (a, b), strict=True))},
            )
        )
        for a, b in ((1, 4), (4, 1))
    ]
    assert len(found[0]) == 4
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_neatly_packed_loses_as_much_a_token(workspace: Path, tiny_model_dir: Path) -> None:
    """Eight rows in one step have one loss per token (within 1e-4), packed or each by itself."""
    given = {"max_steps": 1, "cutoff_len": 2048}
    alone = train(workspace, tiny_model_dir, "alone", per_device_train_batch_size=8, **given)
    packed = train(
        *(workspace, tiny_model_dir, "packed"),
        **{**given, "per_device_train_batch_size": 1, "packing": True, "neat_packing": True},
    )
    assert losses(packed) == pytest.approx(losses(alone), abs=1e-4)


def test_an_adapter_changes_nothing_until_it_learns(workspace: Path, tiny_model_dir: Path) -> None:
    """LoRA of no step gives the base's logits, bit for bit; merged after some it is the adapter's
    model to 1e-4."""
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    before = logits(base)
    fresh = train(workspace, tiny_model_dir, "fresh", num_train_epochs=0)
    assert torch.equal(logits(PeftModel.from_pretrained(base, fresh)), before)
    learned = train(
        *(workspace, tiny_model_dir, "learned"),
        **{"per_device_train_batch_size": 4, "num_train_epochs": 4, "learning_rate": 0.05},
    )
    tuned = logits(
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_dir), learned)
    )
    assert (tuned - before).abs().max() > 0.1
    words = ("--adapter_name_or_path", str(learned), "--export_dir", "saves/merged")
    tuneboard(workspace, "export", tiny_model_dir, *words)
    merged = logits(AutoModelForCausalLM.from_pretrained(workspace / "saves" / "merged"))
    assert (merged - tuned).abs().max() < 1e-4
