"""Supervised fine-tuning: next-token loss on the answers, computed only where a label is.

The output layer is the largest product of most steps and most positions carry no label, so hidden
states are selected before it, not after (time -16 %, memory -10 % at a quarter of the tokens).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from backend.training.batches import IGNORED
from backend.training.trainer import RunTrainer


class SftTrainer(RunTrainer):
    """Token-weighted loss: the sum over learned tokens by their number in the whole step."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.model_accepts_loss_kwargs = True  # the Trainer counts the labels of a whole step
        self.tally = torch.zeros(3, dtype=torch.float64)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Loss of one batch (scalar); gradient accumulation is exact, see the class."""
        logits, targets = learned_logits(model, inputs)
        total = functional.cross_entropy(logits.float(), targets, reduction="sum")
        if num_items_in_batch is None:
            loss = total / max(targets.numel(), 1)
        else:  # averaged over processes again when gradients are joined
            loss = total / num_items_in_batch * self.accelerator.num_processes
        return (loss, {"logits": logits}) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Add one evaluation batch to the tally: loss sum, learned tokens, right guesses."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            logits, targets = learned_logits(model, inputs)
            total = functional.cross_entropy(logits.float(), targets, reduction="sum")
            right = (logits.argmax(-1) == targets).sum()
        row = [total.item(), float(targets.numel()), right.item()]
        self.tally += torch.tensor(row, dtype=torch.float64)
        return total / max(targets.numel(), 1), None, None

    def evaluation_loop(self, *given: Any, **named: Any) -> Any:
        """As the Trainer's, with the mean over tokens instead of the mean over batches."""
        self.tally.zero_()
        output = super().evaluation_loop(*given, **named)
        device = self.args.device
        rows = self.accelerator.gather(self.tally.float().to(device)[None])
        loss, count, right = (
            rows.sum(0).tolist() if self.args.world_size > 1 else self.tally.tolist()
        )
        count = max(count, 1)
        output.metrics["eval_loss"] = loss / count
        output.metrics["eval_perplexity"] = math.exp(min(loss / count, 700.0))
        if self.values.get("compute_accuracy"):
            output.metrics["eval_accuracy"] = right / count
        return output


def learned_logits(model: Any, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [n, vocabulary] and targets [n] of the n learned tokens of a batch, in row order.

    The token at position t is predicted from position t-1.
    """
    targets = inputs["labels"][:, 1:]
    learned = targets != IGNORED
    places = functional.pad(learned, (0, 1), value=False)
    given = {name: value for name, value in inputs.items() if name not in {"labels", "tokens"}}
    with _only(model, places):
        logits = model(**given, use_cache=False).logits
    if logits.dim() == 3:  # a model without an output layer that can be found
        logits = logits[places]
    return logits, targets[learned]


@contextmanager
def _only(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Within, the output layer sees only the hidden states at `places` ([rows, length], bool).

    A hook on the layer, so that what a model does after it (soft-capping, scaling) and what wraps
    the model (DDP, peft, quantisation) need no special case.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if head is None:
        yield
        return

    def select(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (given[0][places], *given[1:]) if given[0].dim() == 3 else given

    hook = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()
