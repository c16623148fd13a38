"""The formulas of PPO for language models, on plain tensors.

Ouyang et al., arXiv:2203.02155 is the whole recipe. Tensors are float32 [n, t]: n answers, t tokens
of the longest; `mask` (bool) says where a token was generated. What is masked never counts, and is
0 in every result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HORIZON = 10_000  # answers after which the KL coefficient may have changed by a factor of e
MOST_ERROR = 0.2  # of the KL from its target that changes the coefficient (arXiv:1909.08593)
TINY = 1e-8

Everywhere = Callable[[Tensor], Tensor]  # the sum of a tensor over all processes


def alone(tensor: Tensor) -> Tensor:
    """The sum over all processes where there is one."""
    return tensor


def token_rewards(scores: Tensor, distance: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """The reward of each token: the KL penalty, and at the last token the score, [n, t].

    Ziegler et al., arXiv:1909.08593, section 2. An answer that was cut off is scored where it ends.

    scores    [n], of whole answers
    distance  log pi(token) - log pi_ref(token): an estimate of the KL divergence at each token
    """
    rewards = -coefficient * distance * mask
    last = (mask.sum(1) - 1).clamp(min=0)[:, None]
    return rewards.scatter_add(1, last, scores[:, None])


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns: generalized advantage estimation (Schulman et al., arXiv:1506.02438).

        delta_t = r_t + gamma * V_{t+1} - V_t            (V is 0 behind the end)
        A_t     = delta_t + gamma * lam * A_{t+1}        (eq. 16, as a recursion)
        R_t     = A_t + V_t

    values  V before each token, when the answers were drawn
    """
    values = values * mask
    advantages = torch.zeros_like(rewards)
    coming = torch.zeros_like(rewards[:, 0])
    after = torch.zeros_like(coming)
    for place in reversed(range(rewards.shape[1])):
        delta = rewards[:, place] + gamma * after - values[:, place]
        coming = (delta + gamma * lam * coming) * mask[:, place]
        advantages[:, place] = coming
        after = values[:, place]
    return advantages, advantages + values


def whiten(
    numbers: Tensor, mask: Tensor, *, centre: bool = True, everywhere: Everywhere = alone
) -> Tensor:
    """The numbers divided by their standard deviation, and about 0 (`centre`) or their own mean."""
    masked = numbers * mask
    count, total = everywhere(torch.stack([mask.sum().to(masked), masked.sum()]))
    mean = total / count.clamp(min=1)
    squares = everywhere((((numbers - mean) ** 2) * mask).sum())
    spread = (squares / (count - 1).clamp(min=1)).clamp(min=TINY).sqrt()
    return ((numbers - mean) / spread + (0.0 if centre else mean)) * mask


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped objective, to be minimized (Schulman et al., arXiv:1707.06347, eq. 7), [n, t].

    new, old  log-probabilities of the tokens now and when they were drawn
    """
    ratio = torch.exp(new - old)
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def is_clipped(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Where the clipping of policy_loss takes the gradient away, bool [n, t]."""
    ratio = torch.exp(new - old)
    return torch.where(advantages > 0, ratio > 1 + clip, (ratio < 1 - clip) & (advantages < 0))


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error of the values, clipped as the policy is, [n, t].

    The larger one of the errors of the new value and of the new value kept within `clip` of the old
    one (the implementation of arXiv:1707.06347).
    """
    bounded = torch.clamp(new, old - clip, old + clip)
    return 0.5 * torch.maximum((new - returns) ** 2, (bounded - returns) ** 2)


@dataclass
class KlControl:
    """The weight of the KL penalty, which follows the divergence (arXiv:1909.08593, section 2.2).

    target  the divergence of whole answers (nats) to hold; None: the weight stays
    """

    coefficient: float
    target: float | None = None

    def update(self, distance: float, answers: int) -> None:
        """After `answers` answers, on all processes, whose mean divergence was `distance`."""
        if self.target:
            error = max(-MOST_ERROR, min(MOST_ERROR, distance / self.target - 1))
            self.coefficient *= 1 + error * answers / HORIZON


@dataclass
class Moments:
    """Mean and spread of all numbers seen so far (Chan, Golub and LeVeque 1983: joined batches)."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0  # the sum of squared distances from the mean

    def update(self, numbers: Tensor, everywhere: Everywhere = alone) -> None:
        """Add the numbers (any shape) of all processes."""
        wide = numbers.cpu().double()
        count, total = everywhere(torch.stack([torch.ones_like(wide).sum(), wide.sum()])).tolist()
        mean = total / count
        squares = everywhere(((wide - mean) ** 2).sum()).item()
        whole, gap = self.count + count, mean - self.mean
        self.squares += squares + gap**2 * self.count * count / whole
        self.mean += gap * count / whole
        self.count = whole

    def normal(self, numbers: Tensor) -> Tensor:
        """The numbers about 0 and with a spread of 1, by what was seen so far."""
        spread = (self.squares / max(self.count - 1, 1.0)) ** 0.5
        return (numbers - self.mean) / (spread + TINY)
