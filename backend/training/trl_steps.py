"""Trainers of trl whose step is all in one: it draws, compares and learns, and knows no evaluation.

Such a trainer (online DPO and its kin) notes its figures in `stats`, calls `accelerator.backward`
itself, and is given a model as its reference.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.model.reference import Reference
from backend.training.trl_run import ReferenceModel, TrlRun


class OwnSteps(TrlRun):
    """Stands before such a trainer; `start` is the reference that it is made with."""

    in_generations = False
    stats: dict[str, list[float]]

    def __init__(self, values: Arguments, **kwargs: Any) -> None:
        self.start = ReferenceModel()
        self.checking = False  # within an evaluation
        super().__init__(values=values, **kwargs)
        self.start.ask = Reference(self.model, values, len(self._tokenizer)).model

    def collator(self, _tokenizer: Any) -> Any:
        """Rows as lists by column."""
        return _columns

    @property
    def _metrics(self) -> dict[str, Any]:  # type: ignore[override]  # others of trl have it so named
        return {"train": self.stats, "eval": {}}

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """As trl's; gradients of a step are the mean over its batches, of which trl makes a sum."""
        before, batches = self.accelerator.backward, self.current_gradient_accumulation_steps
        with self._backward(lambda loss, **more: before(loss / batches, **more)):
            return super().training_step(*args, **kwargs)

    def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        """As a step of training that learns nothing; its figures are those of the evaluation."""
        stats, self.stats = self.stats, {name: [] for name in self.stats}
        self.figures, self.eval_figures = self.eval_figures, self.figures
        self.checking = True
        try:
            with torch.no_grad(), self._backward(lambda *_, **__: None):
                loss = super(TrlRun, self).training_step(model, self._prepare_inputs(inputs))
            rows = len(inputs["prompt"])
            for name, values in self.stats.items():
                self.figures.note(name, torch.tensor(values).repeat_interleave(rows))
        finally:
            self.figures, self.eval_figures = self.eval_figures, self.figures
            self.stats, self.checking = stats, False
            model.eval()
        return loss * self.args.gradient_accumulation_steps, None, None

    @contextmanager
    def _backward(self, act: Callable[..., None]) -> Iterator[None]:
        """Within, this is what becomes of a loss."""
        before = self.accelerator.backward
        self.accelerator.backward = act
        try:
            yield
        finally:
            self.accelerator.backward = before


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0] if name != "length"}
