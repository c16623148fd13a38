"""The formulas of GRPO against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from backend.training import grpo_math

REWARDS = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0, 5.0])  # two groups of three
LOG2 = math.log(2)


def close(result: Tensor, wanted: list[float] | list[list[float]]) -> bool:
    return torch.allclose(result, torch.tensor(wanted, dtype=torch.float32), atol=1e-5)


def same(rewards: Tensor) -> Tensor:
    return rewards


def test_advantage_within_the_group() -> None:
    """Group 1: mean 1, spread 1. Group 2: mean 13/3, spread sqrt(4/3) = 1.154701."""
    result = grpo_math.advantages(REWARDS, 3, "group", same)
    assert close(result[:3], [-1 / 1.0001, 0.0, 1 / 1.0001])
    assert close(result[3:], [-4 / 3 / 1.154801, 2 / 3 / 1.154801, 2 / 3 / 1.154801])


def test_advantage_without_scale() -> None:
    result = grpo_math.advantages(REWARDS, 3, "none", same)
    assert close(result, [-1, 0, 1, -4 / 3, 2 / 3, 2 / 3])


def test_advantage_by_the_spread_of_the_whole_batch() -> None:
    """All six: mean 16/6, squares 64/3, variance (64 - 256/6) / 5 = 4.266667."""
    scale = math.sqrt((64 - 256 / 6) / 5) + 1e-4
    result = grpo_math.advantages(REWARDS, 3, "batch", same)
    assert close(result, [-1 / scale, 0, 1 / scale, *(x / scale for x in (-4 / 3, 2 / 3, 2 / 3))])


def test_the_batch_s_spread_is_that_of_all_processes() -> None:
    result = grpo_math.advantages(
        torch.tensor([0.0, 2.0]), 2, "batch", lambda _: torch.tensor([0.0, 2.0, 10.0])
    )
    assert close(result, [-1 / (math.sqrt(28) + 1e-4), 1 / (math.sqrt(28) + 1e-4)])


def test_equal_rewards_teach_nothing() -> None:
    for scale in ("group", "batch", "none"):
        assert close(grpo_math.advantages(torch.full((4,), 7.0), 2, scale, same), [0, 0, 0, 0])


def test_spread() -> None:
    assert close(grpo_math.spread(REWARDS, 3), [1.0, math.sqrt(4 / 3)])


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("grpo", [[1 / 6, 1 / 6, 0], [1 / 3, 0, 0]]),  # 3 answers in the step
        ("dapo", [[1 / 8, 1 / 8, 0], [1 / 8, 0, 0]]),  # 8 tokens in the step
        ("dr_grpo", [[1 / 30, 1 / 30, 0], [1 / 30, 0, 0]]),  # 3 answers of at most 10 tokens
    ],
)
def test_what_a_token_counts(loss: str, wanted: list[list[float]]) -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert close(grpo_math.weights(mask, loss, (3, 8), 10), wanted)


def test_an_answer_without_a_token_counts_nothing() -> None:
    for loss in ("grpo", "dapo", "dr_grpo"):
        assert close(grpo_math.weights(torch.zeros(1, 2), loss, (1, 0), 10), [[0.0, 0.0]])


def test_clipped_objective() -> None:
    """Ratios 2 and 1/2, clip 0.2: a gain is bounded at 1.2 and 0.8, a loss is not."""
    new, old = torch.tensor([[LOG2, -LOG2]] * 2), torch.zeros(2, 2)
    result = grpo_math.policy_loss(new, old, torch.tensor([3.0, -3.0]), 0.2)
    assert close(result, [[-3.6, -1.5], [6.0, 2.4]])


def test_beyond_the_clip_range_nothing_is_learned() -> None:
    new = torch.tensor([[LOG2, -LOG2, 0.0]], requires_grad=True)
    grpo_math.policy_loss(new, torch.zeros(1, 3), torch.tensor([3.0]), 0.2).sum().backward()
    assert new.grad is not None
    assert close(new.grad, [[0.0, -1.5, -3.0]])


def test_divergence() -> None:
    """k3: r - 1 - log r with r = reference / new; here r = 2 and 1/2."""
    result = grpo_math.kl(torch.zeros(1, 3), torch.tensor([[LOG2, -LOG2, 0.0]]))
    assert close(result, [[1 - LOG2, LOG2 - 0.5, 0.0]])


def test_divergence_is_unbiased() -> None:
    """Its mean over tokens drawn from the policy is the exact KL(policy, reference)."""
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    exact = (policy * (policy / reference).log()).sum()
    result = (policy * grpo_math.kl(policy.log(), reference.log())).sum()
    assert float(result) == pytest.approx(float(exact), rel=1e-5)
