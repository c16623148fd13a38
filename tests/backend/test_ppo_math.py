"""The formulas of PPO, against numbers worked out by hand."""

import math

import pytest
import torch

from backend.training import ppo_math
from backend.training.ppo_math import KlControl, Moments


def rows(*numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_the_score_comes_at_the_last_token_and_the_penalty_at_each() -> None:
    rewards = ppo_math.token_rewards(
        torch.tensor([1.0, 2.0]), rows([0.5, -1.0, 2.0], [1.0, 3.0, 9.0]), MASK, 0.1
    )
    assert torch.allclose(rewards, rows([-0.05, 0.1, -0.2 + 1], [-0.1, -0.3 + 2, 0.0]))


def test_gae_by_hand() -> None:
    """gamma 0.5, lambda 0.5, from the back:
    row 1: A3 = 1 - 3 = -2; A2 = 0 + .5*3 - 2 + .25*(-2) = -1; A1 = 0 + .5*2 - 1 + .25*(-1) = -.25
    row 2 (two tokens): A2 = 4 - 2 = 2; A1 = 1 + .5*2 - 1 + .25*2 = 1.5
    """
    advantages, returns = ppo_math.gae(
        rows([0.0, 0.0, 1.0], [1.0, 4.0, 7.0]),
        rows([1.0, 2.0, 3.0], [1.0, 2.0, 8.0]),
        MASK,
        0.5,
        0.5,
    )
    assert torch.allclose(advantages, rows([-0.25, -1.0, -2.0], [1.5, 2.0, 0.0]))
    assert torch.allclose(returns, rows([0.75, 1.0, 1.0], [2.5, 4.0, 0.0]))


def test_gae_with_lambda_1_is_the_return_less_the_value() -> None:
    rewards, values = rows([0.0, 2.0, 1.0]), rows([0.3, 0.1, 0.7])
    advantages, returns = ppo_math.gae(rewards, values, MASK[:1], 1.0, 1.0)
    assert torch.allclose(returns, rows([3.0, 3.0, 1.0]))
    assert torch.allclose(advantages, returns - values)


def test_what_is_masked_does_not_count() -> None:
    wild = torch.where(MASK, torch.zeros(2, 3), torch.full((2, 3), 1e6))
    inputs = (rows([1.0, 2.0, 3.0], [4.0, 5.0, 0.0]), rows([1.0, 1.0, 2.0], [1.0, 3.0, 0.0]))
    first = ppo_math.gae(*inputs, MASK, 0.9, 0.9)
    second = ppo_math.gae(inputs[0] + wild, inputs[1] + wild, MASK, 0.9, 0.9)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(ppo_math.whiten(inputs[0], MASK), ppo_math.whiten(inputs[0] + wild, MASK))


def test_whitening_by_hand() -> None:
    """1, 2, 3 and 2, 7: mean 3, squared distances 4 + 1 + 0 + 1 + 16 = 22, spread sqrt(22 / 4)."""
    spread = math.sqrt(22 / 4)
    numbers = rows([1.0, 2.0, 3.0], [2.0, 7.0, 0.0])
    white = ppo_math.whiten(numbers, MASK)
    assert torch.allclose(white * spread, rows([-2.0, -1.0, 0.0], [-1.0, 4.0, 0.0]))
    uncentred = ppo_math.whiten(numbers, MASK, centre=False)
    assert torch.allclose(uncentred, torch.where(MASK, white + 3.0, 0.0))


def test_whitening_over_two_processes_is_that_of_all_numbers() -> None:
    numbers = rows([1.0, 2.0, 3.0], [2.0, 7.0, 0.0])
    # the other process has the same numbers: the sums double
    both = ppo_math.whiten(numbers, MASK, everywhere=lambda sums: 2 * sums)
    whole = ppo_math.whiten(numbers.repeat(2, 1), MASK.repeat(2, 1))
    assert torch.allclose(both, whole[:2])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.5, 2.0, -2.4, True),  # no more than 1.2 times 2 is to be won
        (1.1, 2.0, -2.2, False),
        (0.5, 2.0, -1.0, False),  # the wrong way: the whole loss counts
        (0.5, -2.0, 1.6, True),  # no less than 0.8 times -2
        (1.5, -2.0, 3.0, False),
        (1.5, 0.0, 0.0, False),
    ],
)
def test_the_clipped_objective(ratio: float, advantage: float, loss: float, clipped: bool) -> None:
    old = rows([-2.0])
    new = (old + math.log(ratio)).requires_grad_()
    result = ppo_math.policy_loss(new, old, rows([advantage]), 0.2)
    assert result.item() == pytest.approx(loss)
    result.sum().backward()
    assert new.grad is not None
    assert ppo_math.is_clipped(new, old, rows([advantage]), 0.2).item() is clipped
    if advantage:
        assert (new.grad.item() == 0) is clipped


@pytest.mark.parametrize(
    ("new", "old", "target", "loss"),
    [
        (1.0, 0.9, 2.0, 0.5),  # within the range: (1 - 2)^2 / 2
        (1.5, 0.0, 2.0, 1.62),  # kept at 0.2: the larger error (0.2 - 2)^2 / 2
        (3.0, 0.0, 0.0, 4.5),  # kept at 0.2 would be better than it is: 3^2 / 2
    ],
)
def test_the_clipped_value_loss(new: float, old: float, target: float, loss: float) -> None:
    result = ppo_math.value_loss(rows([new]), rows([old]), rows([target]), 0.2)
    assert result.item() == pytest.approx(loss)


def test_the_kl_weight_follows_the_divergence() -> None:
    """Twice the target counts as 20 % too much: times 1 + 0.2 * 500 / 10000 = 1.01."""
    control = KlControl(0.2, 6.0)
    control.update(12.0, 500)
    assert control.coefficient == pytest.approx(0.2 * 1.01)
    control = KlControl(0.2, 6.0)
    control.update(5.4, 500)  # 10 % too little
    assert control.coefficient == pytest.approx(0.2 * 0.995)
    control = KlControl(0.2, None)
    control.update(100.0, 500)
    assert control.coefficient == 0.2


def test_running_moments_are_those_of_all_numbers() -> None:
    moments, seen = Moments(), torch.tensor([1.0, 4.0, -2.0, 10.0, 3.0, 3.0, 8.0])
    for part in (seen[:3], seen[3:4], seen[4:]):
        moments.update(part)
    assert moments.mean == pytest.approx(seen.mean().item())
    assert torch.allclose(moments.normal(seen), (seen - seen.mean()) / seen.std())


def test_a_first_number_is_finite() -> None:
    moments = Moments()
    moments.update(torch.tensor([5.0]))
    assert moments.normal(torch.tensor([5.0])).item() == 0
