"""Preference optimization on pairs: DPO and its kin (pref_loss).

Rewards, margins and accuracies are named as in the papers; losses lie in training.preference.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from backend.model.reference import Reference
from backend.training import preference
from backend.training.preference import PairCollator, RowMeanTrainer
from backend.training.reference_logps import ReferenceLogps

WITHOUT_REFERENCE = ("orpo", "simpo")


class DpoTrainer(RowMeanTrainer):
    """Sends chosen and rejected answers through the model together, as one batch."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = self.values.pref_loss
        self.beta = self.values.pref_beta
        self.reference: ReferenceLogps | None = None
        if self.kind not in WITHOUT_REFERENCE:
            model = Reference(self.model, self.values, len(self.processing_class))
            self.reference = ReferenceLogps(model, self.values)

    def collator(self, tokenizer: Any) -> PairCollator:
        """A collator that pads the two answers of all pairs together."""
        return PairCollator(tokenizer.pad_token_id or 0)

    def row_losses(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """One loss for each pair, [pairs]; notes the metrics of these pairs."""
        learned = preference.label_mask(inputs["labels"])
        counts = learned.sum(1)
        start = self._reference_logps(inputs)
        logps = preference.token_logps(model, inputs)
        totals = logps.sum(1)
        if start is None:
            losses, rewards = self._without_reference(totals / counts)
        else:
            ratios = (logps - start) * self._weights(learned)
            losses, rewards = self._with_reference(ratios.sum(1), counts)
        self._note(rewards, totals)
        weight = self.values.pref_ftx
        if weight and self.kind != "orpo":  # ORPO has this term of its own
            learning = -(totals / counts).chunk(2)[0]
            self.note("sft_loss", learning)
            losses = losses + weight * learning
        return losses

    def _reference_logps(self, inputs: Mapping[str, Any]) -> Tensor | None:
        return None if self.reference is None else self.reference.token_logps(inputs)

    def _weights(self, learned: Tensor) -> Tensor | float:
        alpha = self.values.ld_alpha
        if alpha is None or self.kind == "ipo":  # IPO counts per token already
            return 1.0
        return preference.length_weights(learned, float(alpha))

    def _with_reference(self, ratios: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Losses [pairs] and rewards [2 * pairs] from log-ratios [2 * pairs] and token counts."""
        rewards = self.beta * ratios
        chosen, rejected = rewards.chunk(2)
        if self.kind == "ipo":
            good, bad = (ratios / counts).chunk(2)
            losses = preference.ipo_loss(good, bad, self.beta)
        elif self.kind == "hinge":
            losses = preference.hinge_loss(chosen, rejected)
        elif self.kind == "kto_pair":
            losses = preference.kto_pair_loss(chosen, rejected)
        else:
            smoothing = self.values.dpo_label_smoothing
            losses = preference.sigmoid_loss(chosen, rejected, smoothing)
        return losses, rewards

    def _without_reference(self, means: Tensor) -> tuple[Tensor, Tensor]:
        """Losses [pairs] and rewards [2 * pairs] from mean log-probabilities a token."""
        rewards = self.beta * means
        chosen, rejected = rewards.chunk(2)
        if self.kind == "simpo":
            gamma = self.values.simpo_gamma
            return preference.simpo_loss(chosen, rejected, gamma), rewards
        learning, odds = -means.chunk(2)[0], preference.odds_ratio_loss(*means.chunk(2))
        self.note("sft_loss", learning)
        self.note("odds_ratio_loss", odds)
        return learning + self.beta * odds, rewards

    def _note(self, rewards: Tensor, totals: Tensor) -> None:
        chosen, rejected = rewards.chunk(2)
        self.note("rewards/chosen", chosen)
        self.note("rewards/rejected", rejected)
        self.note("rewards/margins", chosen - rejected)
        self.note("rewards/accuracies", (chosen > rejected).to(torch.float32))
        self.note("logps/chosen", totals.chunk(2)[0])
        self.note("logps/rejected", totals.chunk(2)[1])
