"""The formulas of GRPO (Shao et al., arXiv:2402.03300) and of its variants, on plain tensors."""

from collections.abc import Callable

import torch
from torch import Tensor

TINY = 1e-4  # keeps a group whose rewards hardly differ from being blown up


def advantages(
    rewards: Tensor, group: int, scale: str, everywhere: Callable[[Tensor], Tensor]
) -> Tensor:
    """How much better each answer is than the mean of its group; [n], as `rewards`.

    Answers to one question lie together, `group` of them. `scale`: "group" divides by the spread
    (standard deviation, n - 1) of the group, "batch" by that of all rewards of the step, which
    `everywhere` brings together from all processes, "none" not at all (arXiv:2503.20783: division
    by the group's spread favors questions that are nearly always or nearly never answered).
    """
    rows = rewards.view(-1, group)
    centred = rows - rows.mean(1, keepdim=True)
    if scale == "group":
        centred = centred / (spread(rewards, group)[:, None] + TINY)
    elif scale == "batch":
        centred = centred / (everywhere(rewards).std() + TINY)
    return centred.flatten()


def spread(rewards: Tensor, group: int) -> Tensor:
    """The standard deviation (n - 1) of each group's rewards; [n / group]."""
    return rewards.view(-1, group).std(1)


def weights(mask: Tensor, loss: str, step: tuple[int, int], longest: int) -> Tensor:
    """What each token counts in the loss of a whole step, so that its sum is the step's loss.

    mask     [n, t], 1 where a token was generated
    loss     "grpo": each answer counts the same, its tokens share that (arXiv:2402.03300);
             "dapo": each token counts the same (arXiv:2503.14476);
             "dr_grpo": each token counts the same and however long the answers are
             (arXiv:2503.20783)
    step     the numbers of answers and of generated tokens in the step, on all processes
    longest  the most tokens that an answer may have
    """
    answers, tokens = step
    if loss == "grpo":
        return mask / mask.sum(1, keepdim=True).clamp(min=1) / answers
    if loss == "dapo":
        return mask / max(tokens, 1)
    return mask / (answers * longest)


def policy_loss(new: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """The clipped objective (PPO, arXiv:1707.06347, eq. 7) of each token, to be minimized; [n, t].

    new, old   log-probabilities of the tokens now and when they were drawn, [n, t]
    advantage  [n]
    """
    ratio = torch.exp(new - old)
    bounded = ratio.clamp(1 - epsilon, 1 + epsilon)
    better = advantage[:, None]
    return -torch.minimum(ratio * better, bounded * better)


def kl(new: Tensor, reference: Tensor) -> Tensor:
    """The divergence from the reference, estimated at each token; never below 0; [n, t].

    The unbiased "k3" of arXiv:2402.03300, eq. 4: exp(r) - r - 1 with r = reference - new.
    """
    distance = reference - new
    return torch.expm1(distance) - distance
