"""Losses of next tokens other than plain cross-entropy: pure functions, one number a token.

All take logits [n, vocabulary] of n learned tokens and targets [n], and return losses [n].
"""

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from backend.contract.arguments.typed import Arguments

TOP = 20  # EAFT measures the entropy of the most likely tokens only
TokenLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def choose_loss(values: Arguments) -> TokenLoss:
    """The loss that the arguments ask for (ASFT's anchor is added where the reference is)."""
    if values.use_dft_loss or values.use_asft_loss:
        return dft
    if values.use_eaft_loss:
        alpha = values.eaft_alpha
        return lambda logits, targets: eaft(logits, targets, alpha)
    smoothing = values.label_smoothing_factor
    return lambda logits, targets: cross_entropy(logits, targets, smoothing)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """-log p(target); with smoothing, that share of the target is spread over all tokens."""
    return functional.cross_entropy(
        logits.float(), targets, reduction="none", label_smoothing=smoothing
    )


def dft(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-sg[p] log p with p = p(target): Wu et al., Dynamic Fine-Tuning, 2025 (arXiv 2508.05629).

    sg[] lets no gradient through.
    """
    loss = cross_entropy(logits, targets)
    return loss.detach().neg().exp() * loss


def eaft(logits: torch.Tensor, targets: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
    """-sg[H / ln K]^alpha log p(target), H the entropy of the K = 20 most likely tokens.

    Diao et al., Entropy-Adaptive Fine-Tuning, 2026 (arXiv 2601.02151): where the model is sure
    (H near 0), it learns little, whether it is right or not.
    """
    top = min(TOP, logits.shape[-1])
    with torch.no_grad():
        log_p = logits.float().topk(top, dim=-1).values.log_softmax(-1)
        weights = (-(log_p.exp() * log_p).sum(-1) / math.log(top)).clamp(0.0, 1.0) ** alpha
    return weights * cross_entropy(logits, targets)


def kl(reference: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(reference || model) of each token [n], from the logits [n, vocabulary] of both.

    The anchor of ASFT, Zhu et al., "Anchored Supervised Fine-Tuning", 2025 (arXiv 2509.23753), in
    the direction of its authors' program.
    """
    ours, theirs = logits.float().log_softmax(-1), reference.float().log_softmax(-1)
    return functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
