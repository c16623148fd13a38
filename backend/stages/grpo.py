"""GRPO: a group of answers to each question is drawn, rewarded and compared within itself.

Shao et al., arXiv:2402.03300. There is no value head: an answer is as good as it is better than the
others of its group. Answers of a whole optimizer step are drawn before its first gradient, so that
a step of several batches equals one large batch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem
from backend.model.reference import Reference, evaluation_mode
from backend.running.report import Report
from backend.training import grpo_math, reward_functions, rollouts, scoring
from backend.training.rollout_trainer import Batch, Example, Ids, RolloutTrainer

PATIENCE = 10  # steps in which no answer was better than another before a notice says so


class GrpoTrainer(RolloutTrainer):
    """Draws answers, rewards them, and makes those more likely that are better than their group.

    A batch counts questions; each has `num_generations` answers, learned from in `num_iterations`
    steps.
    """

    def __init__(self, values: Arguments, report: Report, **kwargs: Any) -> None:
        passes = values.num_iterations
        super().__init__(values, report, buffer=1, passes=passes, **kwargs)
        self.group = values.num_generations
        self.beta = values.grpo_beta
        self.longest = values.max_new_tokens
        self.reference: Reference | None = None
        if self.beta:
            self.reference = Reference(self.model, values, len(self.processing_class))
        scorer = None
        if "reward_model" in reward_functions.weights(values):
            scorer = scoring.load(values, self.model, self.processing_class)
        self.rewards = reward_functions.Rewards(values, report.notice, scorer)
        self.drawn: list[Batch] = []  # what the present answers are learned from
        self.flat = 0  # rounds in a row without a better and a worse answer
        reward_functions.require_references(self.rewards.weights, self.train_dataset)

    @classmethod
    def check(cls, values: Arguments) -> None:
        """Raises UsageError for a reward that cannot be computed, before the model is loaded."""
        reward_functions.build(values, lambda _: None)

    def draw(self, batches: Sequence[Sequence[Example]]) -> None:
        """Answer each question several times, judge the answers within their groups, keep them."""
        self.drawn = []
        for rows in batches:
            prompts = [row["input_ids"] for row in rows for _ in range(self.group)]
            self.drawn.append({"prompts": prompts, "answers": self.answer(prompts)})
            self._remember(self.drawn[-1])
        self._judge([row for rows in batches for row in rows])

    def learnable(self, step: int, count: int) -> list[Batch]:
        """Each step learns from all answers."""
        del step, count
        return self.drawn

    def _remember(self, batch: Batch) -> None:
        """Log-probabilities [n, t] when drawn (for further steps) and under the reference."""
        prompts_and_answers = (batch["prompts"], batch["answers"])
        with evaluation_mode(self.model), self.compute_loss_context_manager():
            if self.passes > 1:
                batch["old"] = self._logprobs(self.model, *prompts_and_answers)
            if self.reference is not None:
                with self.reference.model() as start:
                    batch["reference"] = self._logprobs(start, *prompts_and_answers)

    def _logprobs(self, model: Any, prompts: Ids, answers: Ids) -> Tensor:
        """Log-probabilities of the answers' tokens, float32 [n, t]; 0 behind an answer's end."""
        return rollouts.logprobs(model, prompts, answers, self.temperature)

    def _judge(self, rows: Sequence[Example]) -> None:
        """Put `advantages` [n] and `weights` [n, t] into the batches of a step."""
        prompts = [ids for batch in self.drawn for ids in batch["prompts"]]
        answers = [ids for batch in self.drawn for ids in batch["answers"]]
        rewards = self.score_answers(
            [row for row in rows for _ in range(self.group)], prompts, answers
        )
        self._note_groups(rewards)
        better = grpo_math.advantages(
            rewards, self.group, self.values.scale_rewards, self.accelerator.gather
        )
        mine = torch.tensor([len(answers), sum(map(len, answers))], device=self.args.device)
        count, tokens = (int(total) for total in self.accelerator.reduce(mine).tolist())
        for batch in self.drawn:
            size = len(batch["answers"])
            batch["advantages"], better = better[:size], better[size:]
            mask = rollouts.mask_of(batch["answers"]).float()
            loss = self.values.grpo_loss
            batch["weights"] = grpo_math.weights(mask, loss, (count, tokens), self.longest)
            batch["tokens"] = int(mask.sum()) + sum(map(len, batch["prompts"]))

    def score_answers(self, rows: Sequence[Example], prompts: Ids, answers: Ids) -> Tensor:
        """Weighted rewards, [n], on the device, with the metrics of each function."""
        texts = (
            [reward_functions.last_question(row["messages"]) for row in rows],
            [self.text(ids) for ids in answers],
            [row["reference"] or "" for row in rows],
        )
        ids = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        rewards = self.rewards(texts, ids)
        for name, values in rewards.items():
            self.note(f"rewards/{name}", values)
        total = self.rewards.total(rewards)
        self.note_answers(answers, total)
        return total.to(self.args.device)

    def _note_groups(self, rewards: Tensor) -> None:
        spread = grpo_math.spread(rewards, self.group)
        same = (spread == 0).float()
        self.note("reward_std", spread)
        self.note("frac_reward_zero_std", same)
        self.flat = self.flat + 1 if bool(same.all()) else 0
        if self.flat == PATIENCE:
            params = {"steps": PATIENCE}
            self.report.notice(
                Problem(
                    code="rewards_all_equal", field="reward_functions", params=params, notice=True
                )
            )

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        """A batch's part (scalar) of the loss of its step."""
        new = self._logprobs(model, inputs["prompts"], inputs["answers"])
        learned = inputs["weights"] > 0
        old = inputs.get("old", new.detach())
        epsilon = self.values.epsilon
        tokens = grpo_math.policy_loss(new, old, inputs["advantages"], epsilon)
        if self.reference is not None:
            distance = grpo_math.kl(new, inputs["reference"])
            self.note("kl", distance[learned])
            tokens = tokens + self.beta * distance
        # averaged over processes again when gradients are joined
        loss = (tokens * inputs["weights"]).sum() * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def round_state(self) -> dict[str, Any]:
        """The answers, where further steps are to be learned from them."""
        return {"drawn": self.drawn} if self.state.global_step % self.round_steps else {}

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on within a round from the state that `round_state` gave."""
        self.drawn = state["drawn"]
