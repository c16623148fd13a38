"""A Trainer whose loss is a mean over rows: exact, however a step is cut into batches."""

from collections.abc import Mapping
from typing import Any

import torch

from backend.training.trainer import RunTrainer


class RowMeanTrainer(RunTrainer):
    """A stage that has one loss a row (or pair); its batches carry `rows`, how many they hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_accepts_loss_kwargs = True  # then the Trainer hands the rows of a whole step
        self.own: int | None = None  # only so many rows of an evaluation batch count; None: all

    def note(self, name: str, values: torch.Tensor, which: torch.Tensor | None = None) -> None:
        """As RunTrainer's, of values [rows]; `which` (bool, [rows]) has the figure."""
        counted = values[: self.own]
        super().note(name, counted if which is None else counted[which[: self.own]])

    def row_losses(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """The losses [rows] of one batch; the stage notes its figures here, too."""
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
