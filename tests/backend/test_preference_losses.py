"""Losses of preference learning against numbers worked out by hand, and their gradients."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from backend.training import preference
from backend.training.batches import IGNORED
from backend.training.preference import JudgedCollator, PairCollator

BETA = 0.1
# Summed log-probabilities of two pairs, under the policy and under the reference.
POLICY = (torch.tensor([-10.0, -20.0]), torch.tensor([-12.0, -18.0]))
REFERENCE = (torch.tensor([-11.0, -19.0]), torch.tensor([-11.0, -19.0]))
# Log-ratios: chosen [1, -1], rejected [-1, 1]; rewards 0.1 of them; margins [0.2, -0.2].
REWARDS = tuple(BETA * (own - start) for own, start in zip(POLICY, REFERENCE, strict=True))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_sigmoid() -> None:
    """-log sigmoid(0.2) and -log sigmoid(-0.2)."""
    losses = preference.sigmoid_loss(*REWARDS)
    assert losses.tolist() == pytest.approx([0.598139, 0.798139], abs=1e-6)


def test_sigmoid_smoothed() -> None:
    """0.9 of the one and 0.1 of the other."""
    losses = preference.sigmoid_loss(*REWARDS, smoothing=0.1)
    assert losses.tolist() == pytest.approx([0.618139, 0.778139], abs=1e-6)


def test_hinge() -> None:
    """1 - 0.2 and 1 + 0.2; a margin above 1 costs nothing."""
    assert preference.hinge_loss(*REWARDS).tolist() == pytest.approx([0.8, 1.2])
    assert preference.hinge_loss(torch.tensor([3.0]), torch.tensor([1.5])).item() == 0


def test_ipo() -> None:
    """Answers of 4 and 2 tokens: ratios a token 1/4 and -1/2, gap 0.75; target 1/(2 * 0.1) = 5."""
    losses = preference.ipo_loss(torch.tensor([1 / 4]), torch.tensor([-1 / 2]), BETA)
    assert losses.item() == pytest.approx((0.75 - 5) ** 2)


def test_kto() -> None:
    """Rewards 0.3 and -0.2 against the point 0.1: distances 0.2 (good) and 0.3 (bad)."""
    rewards, desirable = torch.tensor([0.3, -0.2]), torch.tensor([True, False])
    losses = preference.kto_loss(rewards, desirable, torch.tensor(0.1))
    assert losses.tolist() == pytest.approx([1 - sigmoid(0.2), 1 - sigmoid(0.3)])


def test_kto_pair() -> None:
    """Chosen rewards 0.4, 0.2 (mean 0.3), rejected -0.3, 0.1 (mean -0.1, so the point is 0)."""
    losses = preference.kto_pair_loss(torch.tensor([0.4, 0.2]), torch.tensor([-0.3, 0.1]))
    up = [1 - sigmoid(0.4), 1 - sigmoid(0.2)]
    down = [1 - sigmoid(0.3 + 0.3), 1 - sigmoid(0.3 - 0.1)]
    assert losses.tolist() == pytest.approx([(a + b) / 2 for a, b in zip(up, down, strict=True)])


def test_odds_ratio() -> None:
    """Probabilities 0.5 and 0.2 a token: odds 1 and 0.25, ratio 4: -log(4 / 5)."""
    chosen, rejected = torch.tensor([0.5, 0.2]).log(), torch.tensor([0.2, 0.5]).log()
    losses = preference.odds_ratio_loss(chosen, rejected)
    assert losses.tolist() == pytest.approx([math.log(5 / 4), math.log(5)], rel=1e-5)


def test_odds_are_finite_where_the_model_is_certain() -> None:
    """A mean log-probability of 0 (the answer is known by heart) has no odds: it was inf."""
    chosen = torch.tensor([0.0, -1e-8, -80.0], requires_grad=True)
    losses = preference.odds_ratio_loss(chosen, torch.tensor([-1.0, 0.0, -1.0]))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert chosen.grad is not None
    assert chosen.grad.isfinite().all()


def test_simpo() -> None:
    """Mean log-probabilities -1 and -2, beta 2, gamma 0.5: -log sigmoid(2 - 0.5)."""
    losses = preference.simpo_loss(torch.tensor([-2.0]), torch.tensor([-4.0]), 0.5)
    assert losses.item() == pytest.approx(-math.log(sigmoid(1.5)))


PAIRED: dict[str, Callable[..., torch.Tensor]] = {
    "sigmoid": preference.sigmoid_loss,
    "smoothed": lambda c, r: preference.sigmoid_loss(c, r, 0.1),
    "hinge": preference.hinge_loss,
    "ipo": lambda c, r: preference.ipo_loss(c, r, BETA),
    "kto_pair": preference.kto_pair_loss,
    "orpo": preference.odds_ratio_loss,
    "simpo": lambda c, r: preference.simpo_loss(c, r, 0.5),
}


@pytest.mark.parametrize("name", PAIRED)
def test_gradients_raise_the_chosen_and_lower_the_rejected(name: str) -> None:
    chosen = torch.tensor([-0.4, -1.5], requires_grad=True)
    rejected = torch.tensor([-0.8, -1.2], requires_grad=True)
    PAIRED[name](chosen, rejected).sum().backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert (chosen.grad < 0).all()
    assert (rejected.grad > 0).all()


def test_ipo_stops_at_its_target() -> None:
    """Unlike the others it draws the gap back where that is larger than 1 / (2 beta)."""
    chosen = torch.tensor([6.0], requires_grad=True)
    preference.ipo_loss(chosen, torch.tensor([0.0]), BETA).sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(2.0)


def test_length_weights() -> None:
    """Pair 1: answers of 3 and 1 tokens; pair 2: of 2 and 2. Questions of different lengths."""
    learned = torch.tensor(
        [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    ).bool()
    weights = preference.length_weights(learned, 0.25) * learned
    assert weights.tolist() == [
        [0, 1, 0.25, 0.25, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],
    ]


PAIRS: list[dict[str, Any]] = [
    {
        "chosen_input_ids": [5, 6, 7, 8],
        "chosen_labels": [IGNORED, IGNORED, 7, 8],
        "rejected_input_ids": [5, 6, 9],
        "rejected_labels": [IGNORED, IGNORED, 9],
    },
    {
        "chosen_input_ids": [11, 12],
        "chosen_labels": [IGNORED, 12],
        "rejected_input_ids": [11, 13, 14],
        "rejected_labels": [IGNORED, 13, 14],
    },
]


def test_pairs_become_one_batch_of_chosen_then_rejected() -> None:
    batch = PairCollator(0)(PAIRS)
    assert batch["input_ids"].tolist() == [
        [5, 6, 7, 8],
        [11, 12, 0, 0],
        [5, 6, 9, 0],
        [11, 13, 14, 0],
    ]
    assert batch["labels"][1].tolist() == [IGNORED, 12, IGNORED, IGNORED]
    assert (batch["rows"], batch["tokens"]) == (2, 12)


def test_judged_rows_bring_their_mismatched_answers() -> None:
    rows = [
        {
            "input_ids": [5, 6, 7],
            "labels": [IGNORED, 6, 7],
            "kl_input_ids": [5, 8],
            "kl_labels": [IGNORED, 8],
            "desirable": good,
        }
        for good in (True, False)
    ]
    batch = JudgedCollator(0)(rows)
    assert batch["desirable"].tolist() == [True, False]
    assert batch["kl"]["labels"].tolist() == [[IGNORED, 8]] * 2
    assert batch["rows"] == 2


def test_token_logps_are_the_models_own(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    batch = PairCollator(0)(PAIRS)
    result = preference.token_logps(model, batch)
    assert result.shape == (4, 3)
    whole = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logps = whole[:, :-1].log_softmax(-1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    learned = preference.label_mask(batch["labels"])
    assert torch.allclose(result, logps * learned, atol=1e-5)
    assert (result[~learned] == 0).all()
    assert result.requires_grad
