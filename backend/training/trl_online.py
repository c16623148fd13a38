"""Trainers of trl that draw answers and learn from their rewards: RLOO, online DPO.

They call our reward functions and reward models. A trainer whose step is all in one (online DPO and
its kin) knows no evaluation, notes its metrics in `stats`, calls `accelerator.backward` itself, and
is given a model as its reference.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.model.reference import Reference
from backend.running.report import Report
from backend.training import reward_functions, rollouts, scoring
from backend.training.trl_run import ReferenceModel, TrlRun

Reward = Callable[..., list[float]]


class TrlRewarded(TrlRun):
    """Answers are scored by reward_functions, each under its own name in the record."""

    def __init__(self, values: Arguments, report: Report, **kwargs: Any) -> None:
        weights = reward_functions.weights(values)
        reward_functions.require_references(weights, kwargs["train_dataset"])
        super().__init__(values, report, **kwargs)
        scorer = None
        if "reward_model" in weights:
            scorer = scoring.load(values, self.model, self._tokenizer)
        self.rewards = reward_functions.Rewards(values, report.notice, scorer)

    @classmethod
    def check(cls, values: Arguments) -> None:
        """Raises UsageError for a reward that cannot be computed, before the model is loaded."""
        reward_functions.build(values, lambda _: None)

    def parts(self, values: Arguments, _model: Any) -> dict[str, Any]:
        """The reward functions as trl calls them."""
        return {"reward_funcs": [self._reward(name) for name in reward_functions.weights(values)]}

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As trl's; the rewards of each function are means over answers, noted here."""
        metrics = self._metrics["eval" if "eval_loss" in logs else "train"]
        for name in self.rewards.weights:
            metrics.pop(f"rewards/{name}/mean", None)
        super().log(logs, *args, **kwargs)

    def _reward(self, name: str) -> Reward:
        def reward(
            prompts: Sequence[list[int]],
            completion_ids: Sequence[list[int]],
            messages: Sequence[str],
            reference: Sequence[str],
            **_: Any,
        ) -> list[float]:
            answers = [rollouts.to_end(ids, self.ends) for ids in completion_ids]
            texts = (
                [reward_functions.last_question(conversation) for conversation in messages],
                [self.text(ids) for ids in answers],
                [each or "" for each in reference],
            )
            ids = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
            rewards = self.rewards.of(name, texts, ids)
            self.note(f"rewards/{name}", rewards)
            numbers: list[float] = rewards.tolist()
            return numbers

        reward.__name__ = name
        return reward


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
        """As a step of training that learns nothing; its metrics are those of the evaluation."""
        stats, self.stats = self.stats, {name: [] for name in self.stats}
        self.means, self.eval_means = self.eval_means, self.means
        self.checking = True
        try:
            with torch.no_grad(), self._backward(lambda *_, **__: None):
                loss = super(TrlRun, self).training_step(model, self._prepare_inputs(inputs))
            rows = len(inputs["prompt"])
            for name, values in self.stats.items():
                self.means.note(name, torch.tensor(values).repeat_interleave(rows))
        finally:
            self.means, self.eval_means = self.eval_means, self.means
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
