"""Stage kto: it learns from answers judged one by one, with a KL estimate over the whole step."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.backend.preferences import held_logps, last_evaluation, rows, train_preferences

STEADY: dict[str, Any] = {"stage": "kto", "disable_shuffling": True}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "full": {"finetuning_type": "full"},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
}


@pytest.mark.parametrize("method", METHODS)
def test_the_margin_of_answers_never_seen_rises(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """By 8 nats between good and bad answers to the same question, on the saved model.

    At step 0 rewards and KL are 0, so each loss is 1 - sigmoid(0).
    """
    options = {"max_steps": 30, "learning_rate": 1e-2, "lr_scheduler_type": "constant"}
    folder = train_preferences(workspace, tiny_model_dir, stage="kto", **METHODS[method], **options)
    first = rows(folder)[0]
    assert first.loss == pytest.approx(0.5, abs=1e-6)
    assert first.more["kl"] == 0.0
    before = held_logps(workspace, tiny_model_dir)
    whole = method != "lora"
    after = held_logps(workspace, *((folder,) if whole else (tiny_model_dir, str(folder))))
    rise = (after[0] - after[1]) - (before[0] - before[1])
    assert rise.min() > 8
    more = last_evaluation(folder).more
    rewards = 0.1 * (after - before).mean(1)
    assert more["eval_rewards/chosen"] == pytest.approx(rewards[0].item(), abs=1e-4)
    assert more["eval_rewards/rejected"] == pytest.approx(rewards[1].item(), abs=1e-4)
    assert more["eval_rewards/margins"] == pytest.approx((rewards[0] - rewards[1]).item(), abs=1e-4)
    assert (more["eval_count/chosen"], more["eval_count/rejected"]) == (5, 5)
    results = json.loads((folder / "all_results.json").read_text())
    assert results["eval_rewards/margins"] == more["eval_rewards/margins"]
    assert "perplexity" not in results


def test_accumulation_is_exact(workspace: Path, tiny_model_dir: Path) -> None:
    """Batch 1 four times accumulated equals batch 4: the KL, too, is of the whole step.

    A KL of each batch alone gave other losses, and with batches of one row hardly an estimate.
    """
    same: dict[str, Any] = {**STEADY, "max_steps": 6, "pref_ftx": 1.0, "learning_rate": 1e-2}
    same["kto_rejected_weight"] = 0.1
    one = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    four = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    left = train_preferences(workspace, tiny_model_dir, "one", **one, **same)
    right = train_preferences(workspace, tiny_model_dir, "four", **four, **same)
    assert len(rows(left)) == 6
    for a, b in zip(rows(left), rows(right), strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)
        assert a.more == pytest.approx(b.more, abs=1e-3)
        assert (a.more["count/chosen"], a.more["count/rejected"]) == (2, 2)
    assert any(row.more["kl"] > 0 for row in rows(left))


def test_weights_of_good_and_bad_answers(workspace: Path, tiny_model_dir: Path) -> None:
    """Step 1 has two of each: (2 * 3 + 2 * 0.5) / 4 times 1 - sigmoid(0)."""
    weights = {"kto_chosen_weight": 3.0, "kto_rejected_weight": 0.5}
    folder = train_preferences(workspace, tiny_model_dir, **STEADY, **weights)
    assert rows(folder)[0].loss == pytest.approx(1.75 * 0.5, abs=1e-6)


def test_a_step_has_good_and_bad_answers(workspace: Path, tiny_model_dir: Path) -> None:
    """Batches of like length (the default) held only good ones or only bad ones."""
    options = {"max_steps": 6, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    folder = train_preferences(workspace, tiny_model_dir, stage="kto", **options)
    counts = [(row.more["count/chosen"], row.more["count/rejected"]) for row in rows(folder)]
    assert all(min(pair) > 0 for pair in counts)


def test_a_resumed_run_equals_an_unbroken_one(workspace: Path, tiny_model_dir: Path) -> None:
    options: dict[str, Any] = {"stage": "kto", "max_steps": 6, "save_steps": 3, "lora_dropout": 0.1}
    folder = train_preferences(workspace, tiny_model_dir, **options)
    curve = [(row.step, row.loss, row.grad_norm, dict(row.more)) for row in rows(folder)]
    weights = load_file(folder / "adapter_model.safetensors")
    shutil.rmtree(folder / "checkpoint-6")
    train_preferences(workspace, tiny_model_dir, resume_from_checkpoint="auto", **options)
    assert [(row.step, row.loss, row.grad_norm, dict(row.more)) for row in rows(folder)] == curve
    again = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(weights[name], each) for name, each in again.items())
