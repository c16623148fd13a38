"""Trainers of trl that learn from rewards: they call our reward functions and reward models."""

from collections.abc import Callable, Sequence
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.running.report import Report
from backend.training import reward_functions, rollouts, scoring
from backend.training.trl_run import TrlRun

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
        figures = self._metrics["eval" if "eval_loss" in logs else "train"]
        for name in self.rewards.weights:
            figures.pop(f"rewards/{name}/mean", None)
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
