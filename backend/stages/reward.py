"""Reward modeling: a model with a value head learns which of two answers people prefer.

Ouyang et al., "Training language models to follow instructions with human feedback",
arXiv:2203.02155, eq. 1, with one pair a question.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from backend.contract.arguments.typed import Arguments
from backend.model import load, value_head
from backend.training.preference import PairCollator, RowMeanTrainer, answer_ends


class RewardTrainer(RowMeanTrainer):
    """Reads a reward off the last token of an answer; logits are never computed."""

    def __init__(self, **kwargs: Any) -> None:
        # what DDP does not see in the output (the head) it would take for unused
        kwargs["args"].ddp_find_unused_parameters = False
        super().__init__(**kwargs)

    @classmethod
    def prepare_model(cls, model: Any, values: Arguments) -> Any:
        """The model with a value head; an output layer of its own has nothing to learn here."""
        layer, words = model.get_output_embeddings(), model.get_input_embeddings()
        if layer.weight is not words.weight:
            layer.requires_grad_(requires_grad=False)
        return value_head.attach(model, load.last_folder(values), random=True)

    def collator(self, tokenizer: Any) -> PairCollator:
        """A collator that pads the two answers of all pairs together."""
        return PairCollator(tokenizer.pad_token_id or 0)

    def row_losses(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """-log sigmoid(r_chosen - r_rejected) of each pair, [pairs], and their metrics."""
        head = value_head.find(model)
        assert head is not None
        ends = answer_ends(inputs["labels"])
        rewards = value_head.values_at(
            model, head, inputs["input_ids"], inputs["attention_mask"], ends
        )
        chosen, rejected = rewards.chunk(2)
        self.note("rewards/chosen", chosen)
        self.note("rewards/rejected", rejected)
        self.note("rewards/margins", chosen - rejected)
        self.note("rewards/accuracies", (chosen > rejected).to(torch.float32))
        return -functional.logsigmoid(chosen - rejected)
