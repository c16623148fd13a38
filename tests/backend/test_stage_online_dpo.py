"""Online DPO by trl's trainer: it learns, its gradient is a mean, and it is resumed exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl.experimental.online_dpo.online_dpo_trainer import OnlineDPOTrainer

from tests.backend.training import assert_resumed_equals, record, train_small

SMALL: dict[str, Any] = {
    "stage": "online_dpo",
    "reward_functions": "length",
    "reward_length": 20,
    "max_new_tokens": 8,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "logging_steps": 1,
    "save_steps": 100,
}


def test_the_held_out_margin_rises(workspace: Path, tiny_model_dir: Path) -> None:
    """Of two answers to a held-out question, the longer one becomes likelier than it was."""
    options = {
        **SMALL,
        "reward_length": 60,
        "finetuning_type": "full",
        "val_size": 8,
        "eval_steps": 30,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "max_steps": 30,
        "eval_on_start": True,
    }
    folder = train_small(workspace, tiny_model_dir, **options)
    check = [row for row in record(folder) if row.eval_loss is not None]
    assert [row.step for row in check] == [0, 30]
    margins = [row.more["eval_rewards/margins"] for row in check]
    assert margins[0] == pytest.approx(0, abs=1e-5)
    assert margins[1] > 0.2
    assert check[0].eval_loss == pytest.approx(0.6931, abs=1e-3)  # -log sigmoid(0)
    scores = [row.more["eval_objective/scores"] for row in check]
    assert scores[1] > scores[0] + 0.1


def test_resumed_equals_uninterrupted(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within an epoch, between two logged rows (2 and 4), and at the epoch's end (8)."""
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)  # else each step has a row
    options = {**SMALL, "max_steps": 9, "lora_dropout": 0.1, "logging_steps": 2}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    assert record(whole)[-1].tokens
    assert [row.step for row in record(whole)] == [2, 4, 6, 8, 9]
    for step in (3, 8):
        assert_resumed_equals(whole, workspace, tiny_model_dir, step, monkeypatch, **options)


def test_a_step_is_the_same_however_it_is_cut(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch 4 x 1 equals 1 x 4: trl 1.16 itself adds the gradients of batches up, four times as
    much. Answers are made from the question alone, as what is drawn depends on the batch."""

    def answers(self: Any, _model: Any, prompts: list[list[int]], _images: Any = None) -> Any:
        made = []
        for copy in range(2):
            for prompt in prompts:
                chance = torch.Generator().manual_seed(sum(prompt) * 7 + copy)
                made.append(torch.randint(5, 400, (3 + 4 * copy,), generator=chance))
        longest = max(map(len, prompts))
        rows = [torch.tensor(prompt) for prompt in prompts * 2]
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True, padding_side="left")
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True, padding_side="left")
        assert ids.shape[1] == longest
        ends = pad([torch.ones_like(row) for row in made], batch_first=True)
        return ids, mask, pad(made, batch_first=True), ends, None

    monkeypatch.setattr(OnlineDPOTrainer, "_generate", answers)
    result: list[Any] = []
    for batch, steps in ((4, 1), (1, 4)):
        cut = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps}
        options = {**SMALL, **cut, "lr_scheduler_type": "constant", "max_grad_norm": 1e-3}
        folder = train_small(workspace, tiny_model_dir, f"cut{batch}", **options)
        result.append([(row.grad_norm, row.tokens) for row in record(folder)])
    assert len(result[0]) == 3
    for first, second in zip(*result, strict=True):
        assert first == pytest.approx(second, rel=1e-3)
        assert first[0] > 0
