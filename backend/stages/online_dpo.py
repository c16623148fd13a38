"""Online DPO: of two answers that are drawn, the better-scored one is preferred (trl's trainer).

Guo et al., arXiv:2402.04792.
"""

from typing import Any

from trl.experimental.online_dpo.online_dpo_config import OnlineDPOConfig
from trl.experimental.online_dpo.online_dpo_trainer import OnlineDPOTrainer

from backend.contract.arguments.typed import Arguments
from backend.training import reward_functions
from backend.training.trl_online import OwnSteps, TrlRewarded


class OnlineDpoTrainer(OwnSteps, TrlRewarded, OnlineDPOTrainer):  # type: ignore[misc]  # untyped
    """Draws two answers to each question; a batch counts questions."""

    config = OnlineDPOConfig

    @classmethod
    def settings(cls, values: Arguments) -> dict[str, Any]:
        """The arguments of OnlineDPOConfig; answers are never cut to make room for a prompt."""
        longest = values.cutoff_len + values.max_new_tokens + 1
        return {
            "beta": values.pref_beta,
            "loss_type": values.online_dpo_loss,
            "max_new_tokens": values.max_new_tokens,
            "max_length": longest,
            "reward_weights": list(reward_functions.weights(values).values()),
            "temperature": values.temperature,
            "top_p": values.top_p,
            "top_k": values.top_k,
            "repetition_penalty": values.repetition_penalty,
        }

    def parts(self, values: Arguments, model: Any) -> dict[str, Any]:
        """The reward functions, and the reference model without a copy of the weights."""
        return {**super().parts(values, model), "ref_model": self.start}

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        """Draw answers as trl does, and count their tokens, which trl does not."""
        drawn = super()._generate(*args, **kwargs)
        if not self.checking:
            self.state.num_input_tokens_seen += int(drawn[1].sum() + drawn[3].sum())
        return drawn
