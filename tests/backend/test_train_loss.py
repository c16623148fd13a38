"""The loss is the model's own, whatever the batches look like."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from backend.contract.runs import metrics
from backend.training.batches import IGNORED, Collator, LengthBatches, LengthGrouped
from backend.training.token_loss import logits_at_labels
from tests.backend.training import train_small

ROWS: list[dict[str, Any]] = [
    {"input_ids": [5, 6, 7, 8, 9, 10], "labels": [IGNORED] * 3 + [8, 9, 10]},
    {"input_ids": [11, 12, 13], "labels": [IGNORED, 12, 13]},
]


def masked(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    logits, targets = logits_at_labels(model, batch)
    return torch.nn.functional.cross_entropy(logits.float(), targets)


def own(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    given = {name: value for name, value in batch.items() if name != "tokens"}
    loss: torch.Tensor = model(**given).loss
    return loss


def test_masked_loss_is_the_models_own(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    batch = Collator(0)(ROWS)
    logits, targets = logits_at_labels(model, batch)
    assert logits.shape == (5, model.config.vocab_size)
    assert targets.tolist() == [8, 9, 10, 12, 13]
    assert torch.allclose(masked(model, batch), own(model, batch), atol=1e-6)


def test_soft_capped_logits_stay_soft_capped() -> None:
    """Gemma 2 caps its logits after the output layer: selecting before it must not lose that."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=0.05,
    )
    model = Gemma2ForCausalLM(config).eval()
    batch = Collator(0)(ROWS)
    logits, _ = logits_at_labels(model, batch)
    assert logits.abs().max() <= 0.05
    assert torch.allclose(masked(model, batch), own(model, batch), atol=1e-6)


def test_a_model_without_an_output_layer_falls_back(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    batch = Collator(0)(ROWS)
    expected = masked(model, batch)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    assert torch.allclose(masked(model, batch), expected, atol=1e-6)


def test_packed_rows_do_not_see_each_other(tiny_model_dir: Path) -> None:
    """Two texts in one row give the logits of each alone; a text's first token is no target."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    first, second = [5, 6, 7, 8], [9, 10, 11]
    packed = {
        "input_ids": first + second,
        "labels": first + second,
        "position_ids": [0, 1, 2, 3, 0, 1, 2],
    }
    batch = Collator(0)([packed])
    assert "attention_mask" not in batch
    logits, targets = logits_at_labels(model, batch)
    assert targets.tolist() == [6, 7, 8, 10, 11]
    alone = [model(input_ids=torch.tensor([ids])).logits[0, :-1] for ids in (first, second)]
    assert torch.allclose(logits, torch.cat(alone), atol=1e-5)


def losses(folder: Path) -> list[float]:
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    return [row.loss for row in rows if row.loss is not None]


def test_accumulation_is_exact(workspace: Path, tiny_model_dir: Path) -> None:
    """Batch 1 four times accumulated equals batch 4: loss and gradient norm of every step."""
    given = {"max_steps": 4, "group_by_length": False, "disable_shuffling": True}
    one = train_small(
        *(workspace, tiny_model_dir, "one"),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        **given,
    )
    four = train_small(
        *(workspace, tiny_model_dir, "four"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
        **given,
    )
    assert len(losses(one)) == 4
    assert losses(one) == pytest.approx(losses(four), abs=1e-5)
    rows = [metrics.read(folder / "metrics.jsonl", 0)[0][-1] for folder in (one, four)]
    assert rows[0].grad_norm == pytest.approx(rows[1].grad_norm, rel=1e-4)
    assert rows[0].tokens == rows[1].tokens


def test_evaluation_loss_is_the_mean_over_tokens(workspace: Path, tiny_model_dir: Path) -> None:
    """The size of evaluation batches changes nothing: a mean over batches would."""
    found = []
    for batch in (1, 4):
        folder = train_small(
            *(workspace, tiny_model_dir, f"batch{batch}"),
            val_size=0.3,
            per_device_eval_batch_size=batch,
            learning_rate=0.0,
        )
        rows, _ = metrics.read(folder / "metrics.jsonl", 0)
        found.append([row.eval_loss for row in rows if row.eval_loss is not None])
    assert found[0]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def padding(lengths: Any) -> float:
    """The share of padding in batches of 8."""
    cuts = [lengths[at : at + 8] for at in range(0, len(lengths), 8)]
    return float(1 - lengths.sum() / sum(cut.max() * len(cut) for cut in cuts))


@pytest.mark.parametrize("count", [200, 203, 1000, 7])
def test_batches_are_of_like_length_and_drawn(count: int) -> None:
    """Every row once, the longest first, another order in each epoch; and half a percent more of
    padding than all rows from the longest to the shortest."""
    lengths = np.random.default_rng(0).gamma(3.0, 60.0, count).astype(np.int64) + 20
    sampler, orders = LengthBatches(lengths.tolist(), 8, seed=3), []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert orders[-1] == list(sampler)
        assert sorted(orders[-1]) == list(range(count))
        assert padding(lengths[orders[-1]]) < padding(np.sort(lengths)[::-1]) + 0.005
    if count > 8:  # else all rows are in one batch
        assert orders[0] != orders[1] != orders[2]
        assert lengths[orders[0][:8]].max() == lengths.max()
        sets = [{frozenset(order[at : at + 8]) for at in range(0, count, 8)} for order in orders]
        assert sets[1] != sets[2]


def test_every_row_is_as_likely_in_every_step() -> None:
    """The mean length of what a batch learns is the same from the first to the last one."""
    lengths = np.random.default_rng(0).integers(20, 500, 64)
    sampler, means = LengthBatches(lengths.tolist(), 8, seed=0), []
    for epoch in range(1, 801):
        sampler.set_epoch(epoch)
        means.append(lengths[list(sampler)].reshape(8, 8).mean(1))
    deviation = np.std(means, axis=0) / len(means) ** 0.5
    assert (np.abs(np.mean(means, axis=0) - lengths.mean()) < 4 * deviation).all()


def test_lengths_are_grouped_the_same_way_for_the_same_epoch() -> None:
    lengths = [3, 50, 4, 49, 5, 48, 6, 47] * 8
    sampler = LengthGrouped(lengths, 4, seed=1)
    order = list(sampler)
    assert sorted(order) == list(range(64))
    assert order == list(LengthGrouped(lengths, 4, seed=1))
    sampler.set_epoch(1)
    assert list(sampler) != order
    spread = [
        max(lengths[i] for i in order[k : k + 4]) - min(lengths[i] for i in order[k : k + 4])
        for k in range(0, 64, 4)
    ]
    assert sum(gap < 10 for gap in spread) >= 13
