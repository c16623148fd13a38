"""RLOO: each answer to a question is held against the mean of the others (trl's trainer).

Ahmadian et al., arXiv:2402.14740. The distance from the start is part of the reward.
"""

from typing import Any

from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from backend.contract.arguments.typed import Arguments
from backend.training import reward_functions
from backend.training.trl_online import TrlRewarded


class RlooTrainer(TrlRewarded, RLOOTrainer):  # type: ignore[misc]  # trl is not typed
    """Draws and scores `num_generations` answers to each question; a batch counts questions."""

    config = RLOOConfig
    steps_named = "num_iterations"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.set_reference(self.values.rloo_beta)

    @classmethod
    def copies(cls, values: Arguments) -> int:
        """How many answers each question gets."""
        return values.num_generations

    @classmethod
    def settings(cls, values: Arguments) -> dict[str, Any]:
        """The arguments of RLOOConfig; its beta is 0, as the reference is set up afterwards."""
        return {
            "beta": 0.0,
            "num_generations": cls.copies(values),
            "num_generations_eval": 1,
            "num_iterations": values.num_iterations,
            "max_completion_length": values.max_new_tokens,
            "epsilon": values.epsilon,
            "normalize_advantages": values.normalize_advantages,
            "reward_weights": list(reward_functions.weights(values).values()),
            "temperature": values.temperature,
            "top_p": values.top_p,
            "top_k": values.top_k,
            "repetition_penalty": values.repetition_penalty,
        }

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as trl does; an evaluation's loss is the negative mean reward of its questions."""
        if "eval_loss" in logs:
            reward = sum(
                weight * self.eval_means.mean(f"rewards/{name}", self.accelerator)
                for name, weight in self.rewards.weights.items()
            )
            self._metrics["eval"]["reward"] = [reward]
            logs["eval_loss"] = -reward
        super().log(logs, *args, **kwargs)
