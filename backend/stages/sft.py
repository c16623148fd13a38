"""Supervised fine-tuning: next-token loss on the answers."""

from typing import Any

import torch

from backend.model.reference import Reference
from backend.training import token_loss
from backend.training.token_loss import TokenLossTrainer, logits_at_labels


class SftTrainer(TokenLossTrainer):
    """Learns the answers of conversations, as backend.data labels them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        anchored = self.values.use_asft_loss
        self.anchor = self.values.asft_alpha if anchored else 0.0
        vocabulary = len(self.processing_class)
        self.reference = Reference(self.model, self.values, vocabulary) if self.anchor else None

    def token_losses(
        self, model: Any, inputs: dict[str, Any], logits: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """One loss for each target, [n]; ASFT adds the distance from the model before training."""
        token_losses = super().token_losses(model, inputs, logits, targets)
        if self.reference is None:
            return token_losses
        with self.reference.model() as before:
            expected, _ = logits_at_labels(before, inputs)
        return token_losses + self.anchor * token_loss.kl(expected, logits)
