"""Switches of supervised fine-tuning, each through the code that trains."""

from pathlib import Path
from typing import Any

import pytest
import torch

from backend.contract.arguments.arguments import parse, report_ignored, resolve
from backend.contract.runs import metrics
from backend.data import prepare, templates
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.test_data_prepare import VALUES, Told
from tests.backend.training import train_small

CHAT = {
    "messages": [
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
        {"role": "assistant", "content": "a2"},
    ]
}


def learned(workspace: Path, row: dict[str, Any], **values: Any) -> str:
    """The text that is learned of one row."""
    write_dataset(workspace, "x", [row])
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, **values})
    train = prepare.prepare_training(
        options, tokenizer, templates.load(options, tokenizer), Told()
    ).train
    return str(tokenizer.decode([label for label in train[0]["labels"] if label >= 0]))


def test_what_is_learned(workspace: Path) -> None:
    assert learned(workspace, CHAT) == "a1<|im_end|>a2<|im_end|>"
    assert learned(workspace, CHAT, mask_history=True) == "a2<|im_end|>"
    everything = learned(workspace, CHAT, train_on_prompt=True)
    assert everything.startswith("user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>")
    quiet = {"messages": [dict(turn) for turn in CHAT["messages"]]}
    quiet["messages"][1]["train"] = False
    assert learned(workspace, quiet) == "a2<|im_end|>"
    assert "a1" not in learned(workspace, quiet, train_on_prompt=True)


def test_switches_of_answers_do_not_apply_elsewhere() -> None:
    for name in ("train_on_prompt", "mask_history", "neat_packing"):
        values, _ = parse({"stage": "dpo", name: True}, "train")
        assert [problem.field for problem in report_ignored(values, "train")] == [name]
        assert report_ignored({**values, "stage": "sft"}, "train") == []


def step(folder: Path) -> tuple[float, float]:
    """Loss and gradient norm of the first step."""
    row = metrics.read(folder / "metrics.jsonl", 0)[0][0]
    assert row.loss is not None
    assert row.grad_norm is not None
    return row.loss, row.grad_norm


ONE_STEP: dict[str, Any] = {
    "max_steps": 1,
    "per_device_train_batch_size": 30,
    "gradient_accumulation_steps": 1,
    "group_by_length": False,
    "finetuning_type": "full",
}


def test_neatly_packed_equals_unpacked(workspace: Path, tiny_model_dir: Path) -> None:
    """All 30 rows in one step: the loss per token is the same to 1e-5, the gradient to 1e-4."""
    alone = train_small(workspace, tiny_model_dir, "alone", **ONE_STEP)
    neat = train_small(workspace, tiny_model_dir, "neat", neat_packing=True, **ONE_STEP)
    seen = train_small(workspace, tiny_model_dir, "seen", packing=True, **ONE_STEP)
    assert step(neat)[0] == pytest.approx(step(alone)[0], abs=1e-5)
    assert step(neat)[1] == pytest.approx(step(alone)[1], rel=1e-4)
    assert step(seen)[0] != pytest.approx(step(alone)[0], abs=1e-5)  # packing alone: texts see


def test_packed_rows_hold_the_same_answers(workspace: Path) -> None:
    rows = [{"instruction": f"q {n}", "output": "answer " * (n % 9 + 1)} for n in range(12)]
    write_dataset(workspace, "x", rows)
    tokenizer = make_tokenizer()
    result = {}
    for name in ("", "packing", "neat_packing"):
        options = resolve({**VALUES, "cutoff_len": 96, **({name: True} if name else {})})
        train = prepare.prepare_training(
            options, tokenizer, templates.load(options, tokenizer), Told()
        ).train
        result[name] = sorted(label for row in train for label in row["labels"] if label >= 0)
        assert ("position_ids" in train.column_names) == (name == "neat_packing")
    assert result[""] == result["packing"] == result["neat_packing"]


def test_noise_on_embeddings_only_while_training(workspace: Path, tiny_model_dir: Path) -> None:
    """NEFTune (arXiv 2310.05914): another training loss, the same evaluation loss."""
    options = {"max_steps": 1, "val_size": 0.3, "learning_rate": 0.0, "eval_strategy": "steps"}
    plain = train_small(workspace, tiny_model_dir, "plain", **options)
    noisy = train_small(workspace, tiny_model_dir, "noisy", neftune_noise_alpha=50.0, **options)
    assert step(noisy)[0] != pytest.approx(step(plain)[0], abs=1e-4)
    losses = [
        [row.eval_loss for row in metrics.read(each / "metrics.jsonl", 0)[0] if row.eval_loss]
        for each in (plain, noisy)
    ]
    assert losses[0]
    assert losses[0] == losses[1]


def test_padding_changes_nothing(workspace: Path, tiny_model_dir: Path) -> None:
    """Batch 1 x 4 equals batch 4 x 1 with packed rows, too (1e-5)."""
    write_dataset(
        workspace,
        "sums",
        [{"instruction": f"q {n}", "output": "long answer " * (n % 5 + 1)} for n in range(40)],
    )
    options = {
        "neat_packing": True,
        "cutoff_len": 64,
        "max_steps": 2,
        "logging_steps": 1,
        "group_by_length": False,
        "disable_shuffling": True,
    }
    losses = []
    for batch, steps in ((1, 4), (4, 1)):
        folder = train_small(
            *(workspace, tiny_model_dir, f"b{batch}"),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
            **options,
        )
        result = metrics.read(folder / "metrics.jsonl", 0)[0]
        losses.append([row.loss for row in result if row.loss is not None])
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert torch.tensor(losses).isfinite().all()
