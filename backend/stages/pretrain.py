"""Continued pre-training: next-token loss on every token of plain text."""

from backend.training.token_loss import TokenLossTrainer


class PretrainTrainer(TokenLossTrainer):
    """Learns texts, joined and cut into blocks of the cutoff length unless `packing` is false."""
