"""Learning from preferences: log-probabilities of answers, the losses that compare them, a Trainer.

Pure functions. `chosen` and `rejected` are float tensors [pairs]; a reward is beta times the
log-ratio of policy and reference, log pi(y|x) - log pi_ref(y|x) (Rafailov et al., "Direct
Preference Optimization", arXiv 2305.18290). Each loss comes back one number a pair (or row). The
loss of the Trainer is their mean over a whole step, exact however the step is cut into batches.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.training.batches import IGNORED, Batch, Collator
from backend.training.token_loss import logits_at_labels
from backend.training.trainer import RunTrainer

SIDES = ("chosen", "rejected")
MODEL_INPUTS = ("input_ids", "attention_mask", "labels")
CERTAIN = -1e-6  # log-probability above which odds would be infinite


class PairCollator:
    """Pairs as one batch: the chosen answers, below them the rejected ones.

    Gives what Collator gives with [2 * pairs, longest], `rows`, the number of pairs, and the `keys`
    of the sequences.
    """

    def __init__(self, pad_id: int) -> None:
        self.collate = Collator(pad_id)

    def __call__(self, pairs: Sequence[Mapping[str, Any]]) -> Batch:
        """One batch of these pairs."""
        both = [_select_columns(pair, f"{side}_") for side in SIDES for pair in pairs]
        return {**self.collate(both), "keys": sequence_keys(both), "rows": len(pairs)}


class JudgedCollator:
    """Answers that were judged good or bad, each beside its question with another's answer.

    Gives what Collator gives with the `keys` of the sequences; `desirable` (bool, [rows]), `rows`,
    and under `kl` the batch of the mismatched answers, with keys.
    """

    def __init__(self, pad_id: int) -> None:
        self.collate = Collator(pad_id)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """One batch of these rows."""
        own, others = ([_select_columns(row, prefix) for row in rows] for prefix in ("", "kl_"))
        return {
            **self.collate(own),
            "keys": sequence_keys(own),
            "kl": {**self.collate(others), "keys": sequence_keys(others)},
            "desirable": torch.tensor([bool(row["desirable"]) for row in rows]),
            "rows": len(rows),
        }


def _select_columns(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The columns with this prefix, under their plain names."""
    return {name: row[prefix + name] for name in ("input_ids", "labels")}


def sequence_keys(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """A key of 16 bytes for each sequence (its input_ids and labels), as int64 [rows, 2]."""
    digests = [
        hashlib.blake2b(
            np.asarray([row["input_ids"], row["labels"]], dtype=np.int32).tobytes(), digest_size=16
        ).digest()
        for row in rows
    ]
    return torch.tensor([struct.unpack("<2q", each) for each in digests])


def token_logps(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Log-probabilities of the learned tokens: float32 [rows, length - 1], 0 at the others.

    Column t is about the token at position t + 1, as `learned_tokens` is.
    """
    model_inputs = {name: inputs[name] for name in MODEL_INPUTS}
    logits, targets = logits_at_labels(model, model_inputs)
    logps = -functional.cross_entropy(logits.float(), targets, reduction="none")
    learned = label_mask(inputs["labels"])
    return torch.zeros(learned.shape, device=logps.device).masked_scatter(learned, logps)


def label_mask(labels: Tensor) -> Tensor:
    """Which tokens are learned, from the second position on: bool [rows, length - 1]."""
    return labels[:, 1:] != IGNORED


def answer_ends(labels: Tensor) -> Tensor:
    """The place of the last learned token of each row, int64 [rows]: where its answer ends."""
    places = torch.arange(labels.shape[1], device=labels.device)
    return torch.where(labels != IGNORED, places, 0).amax(1)


def length_weights(learned: Tensor, alpha: float) -> Tensor:
    """1 for the part of each answer as long as the shorter one of its pair, alpha for the rest.

    LD-DPO: Liu et al., "Length Desensitization in Direct Preference Optimization",
    arXiv 2409.06411. `learned` is bool [2 * pairs, length], chosen answers first.
    """
    shorter = torch.stack(learned.sum(1).chunk(2)).amin(0).repeat(2)
    return torch.where(learned.cumsum(1) <= shorter[:, None], 1.0, alpha)


def sigmoid_loss(chosen: Tensor, rejected: Tensor, smoothing: float = 0.0) -> Tensor:
    """DPO: -log sigmoid of the margin between two rewards (Rafailov et al., arXiv 2305.18290, 7).

    `smoothing` is the share of labels taken to be the wrong way round (conservative DPO: Mitchell,
    "A note on DPO with noisy preferences", 2023).
    """
    margin = chosen - rejected
    right, wrong = functional.logsigmoid(margin), functional.logsigmoid(-margin)
    return -(1 - smoothing) * right - smoothing * wrong


def hinge_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """SLiC: how far the margin between two rewards stays below 1.

    Zhao et al., "SLiC-HF", arXiv 2305.10425; on rewards: Liu et al., "RSO", arXiv 2309.06657.
    """
    return torch.relu(1 - (chosen - rejected))


def ipo_loss(chosen: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """IPO: the gap between two log-ratios *per token*, drawn to 1 / (2 beta).

    Azar et al., "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    arXiv 2310.12036, 17. Its authors say that their results are for means over tokens.
    """
    return (chosen - rejected - 1 / (2 * beta)) ** 2


def kto_loss(rewards: Tensor, desirable: Tensor, point: Tensor) -> Tensor:
    """KTO: 1 - sigmoid of how far a reward lies on the right side of a reference point.

    Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic Optimization",
    arXiv 2402.01306. `rewards` [rows], `desirable` bool [rows]; `point` is beta times the
    estimated KL divergence of policy and reference, without gradient.
    """
    distance = torch.where(desirable, rewards - point, point - rewards)
    return 1 - torch.sigmoid(distance)


def kto_pair_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """KTO on pairs: each side's reference point is the mean reward of the other side, at least 0.

    The mean of both sides' losses [pairs]; the points are of this batch alone.
    """
    good, bad = torch.ones_like(chosen).bool(), torch.zeros_like(chosen).bool()
    up = kto_loss(chosen, good, rejected.detach().mean().clamp(min=0))
    down = kto_loss(rejected, bad, chosen.detach().mean().clamp(min=0))
    return (up + down) / 2


def odds_ratio_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """ORPO's penalty: -log sigmoid of the log odds ratio of two mean log-probabilities a token.

    Hong et al., "ORPO: Monolithic Preference Optimization without Reference Model",
    arXiv 2403.07691, 7; odds(p) = p / (1 - p).
    """
    return -functional.logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def simpo_loss(chosen: Tensor, rejected: Tensor, gamma: float) -> Tensor:
    """SimPO: -log sigmoid of the margin of two rewards, less the margin asked for.

    Meng et al., "SimPO", arXiv 2405.14734, 6. A reward is beta times the mean log-probability a
    token: no reference.
    """
    return -functional.logsigmoid(chosen - rejected - gamma)


def _log_odds(logps: Tensor) -> Tensor:
    """log(p / (1 - p)) from log p, exact for p near 0 and near 1."""
    logps = logps.clamp(max=CERTAIN)
    rest = torch.where(logps > -0.7, torch.log(-torch.expm1(logps)), torch.log1p(-torch.exp(logps)))
    return logps - rest


class RowMeanTrainer(RunTrainer):
    """A stage that has one loss a row (or pair); its batches carry `rows`, how many they hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_accepts_loss_kwargs = True  # then the Trainer hands the rows of a whole step
        self.own: int | None = None  # only so many rows of an evaluation batch count; None: all

    def note(self, name: str, values: torch.Tensor, which: torch.Tensor | None = None) -> None:
        """As RunTrainer's, of values [rows]; `which` (bool, [rows]) has the metric."""
        counted = values[: self.own]
        super().note(name, counted if which is None else counted[which[: self.own]])

    def row_losses(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """The losses [rows] of one batch; the stage notes its metrics here, too."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """A batch's part (scalar) of the mean over the rows of its step."""
        losses = self.row_losses(model, inputs)
        if num_items_in_batch is None:
            loss = losses.mean()
        else:  # averaged over processes again when gradients are joined
            loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> torch.Tensor:
        count = torch.tensor(sum(batch["rows"] for batch in batch_samples), device=device)
        total: torch.Tensor = self.accelerator.gather(count).sum()
        return total

    def prediction_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Note the loss of each row of one evaluation batch."""
        inputs = self._prepare_inputs(inputs)
        self.own = self.own_rows(inputs["rows"])
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = self.row_losses(model, inputs)
        self.note("loss", losses)
        self.own = None
        return losses.mean(), None, None
