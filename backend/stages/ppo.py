"""PPO: the model writes answers, a reward model scores them, and it learns to score higher.

Ouyang et al., arXiv:2203.02155; Ziegler et al., arXiv:1909.08593. One base model plays up to four
parts: the policy is its adapter, the reference is what it was before training (model.reference),
the reward model another adapter on it (training.scoring), and the value head reads the policy's
hidden states. With full or freeze, the reference keeps a copy of the weights that learn, and the
reward model is a whole model of its own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from backend.contract.arguments.typed import Arguments
from backend.model import load, value_head
from backend.model.reference import Reference, evaluation_mode
from backend.running.report import Report
from backend.training import ppo_math, rollouts, scoring
from backend.training.ppo_math import KlControl, Moments
from backend.training.rollout_trainer import Batch, Example, Ids, RolloutTrainer

TOKEN_VALUES = ("old", "values", "advantages", "returns")  # of each token, when it was drawn


class PpoTrainer(RolloutTrainer):
    """Draws one answer to each question, scores it, and makes better-scored ones more likely.

    A batch counts questions. `ppo_buffer_size` steps' worth of questions are answered at once and
    learned from `ppo_epochs` times, each time in another order. An answer without an end token is
    scored where it was cut.
    """

    def __init__(self, values: Arguments, report: Report, **kwargs: Any) -> None:
        # what DDP does not see in the output (the head) it would take for unused
        kwargs["args"].ddp_find_unused_parameters = False
        buffer, passes = values.ppo_buffer_size, values.ppo_epochs
        super().__init__(values, report, buffer=buffer, passes=passes, **kwargs)
        self.reference = Reference(self.model, values, len(self.processing_class))
        self.scorer = scoring.load(values, self.model, self.processing_class)
        self.control_kl = KlControl(values.ppo_kl_coef, values.ppo_target)
        self.moments = Moments()
        self.round: list[Example] = []  # prompt, answer and TOKEN_VALUES of each answer

    @classmethod
    def prepare_model(cls, model: Any, values: Arguments) -> Any:
        """The model with a value head that knows nothing yet."""
        return value_head.attach(model, load.last_folder(values), random=False)

    def draw(self, batches: Sequence[Sequence[Example]]) -> None:
        """Answer the questions of a round, judge the answers, and keep them."""
        rollout_batches = [self._rollout(rows) for rows in batches]
        prompts, answers = (
            [ids for batch in rollout_batches for ids in batch[name]] for name in ("p", "a")
        )
        rows = [row for rows in batches for row in rows]
        scores = self.score_answers(rows, prompts, answers)
        mask = rollouts.mask_of(answers, scores.device)
        old, values, start = (
            _pad_batches([batch[name] for batch in rollout_batches], mask)
            for name in ("old", "values", "start")
        )
        by_name = {
            "old": old,
            "values": values,
            **self._advantages(scores, old - start, values, mask),
        }
        self.round = [
            {
                "prompt": prompts[place],
                "answer": answers[place],
                **{name: by_name[name][place, : len(answers[place])] for name in TOKEN_VALUES},
            }
            for place in range(len(answers))
        ]

    def _rollout(self, rows: Sequence[Example]) -> dict[str, Any]:
        """Prompts and answers of a batch; log-probabilities, values, and those of the reference."""
        prompts = [row["input_ids"] for row in rows]
        answers = self.answer(prompts)
        with evaluation_mode(self.model), self.compute_loss_context_manager():
            read = rollouts.forward(self.model, prompts, answers, self.temperature)
            with self.reference.model() as start:
                before = rollouts.logprobs(start, prompts, answers, self.temperature)
        return {
            "p": prompts,
            "a": answers,
            "old": read.logprobs,
            "values": read.values,
            "start": before,
        }

    def score_answers(self, rows: Sequence[Example], prompts: Ids, answers: Ids) -> Tensor:
        """The scores of answers, [n] on the device, with their metrics."""
        del rows
        texts = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        with self.compute_loss_context_manager():
            scores = self.scorer(texts).to(self.args.device)
        self.note_answers(answers, scores)
        return scores

    def _advantages(
        self, scores: Tensor, distance: Tensor, values: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        """Advantages and returns [n, t]; the KL coefficient follows for the next round."""
        everywhere = self._sum
        if self.values.ppo_score_norm:
            self.moments.update(scores, everywhere)
            scores = self.moments.normal(scores)
        kl = (distance * mask).sum(1)
        self.note("kl", kl)
        self.note("kl_coef", torch.tensor([self.control_kl.coefficient]))
        rewards = ppo_math.token_rewards(scores, distance, mask, self.control_kl.coefficient)
        count, total = everywhere(torch.stack([torch.ones_like(kl).sum(), kl.sum()])).tolist()
        self.control_kl.update(total / count, int(count))
        if self.values.ppo_whiten_rewards:
            rewards = ppo_math.whiten(rewards, mask, centre=False, everywhere=everywhere)
        gamma, lam = self.values.ppo_gamma, self.values.ppo_lambda
        advantages, returns = ppo_math.gae(rewards, values, mask, gamma, lam)
        return {
            "advantages": ppo_math.whiten(advantages, mask, everywhere=everywhere),
            "returns": returns,
        }

    def learnable(self, step: int, count: int) -> list[Batch]:
        """A part of the round, in an order of its own for each pass over it."""
        turn, part = divmod(step, self.buffer)
        first = self.state.global_step - step
        chance = torch.Generator().manual_seed(self.args.seed + first + turn)
        order = torch.randperm(len(self.round), generator=chance).tolist()
        size = self.args.train_batch_size
        begin = part * size * count
        mine = [self.round[place] for place in order[begin : begin + size * count]]
        own = torch.tensor(float(sum(len(row["answer"]) for row in mine)), device=self.args.device)
        tokens = self._sum(own).item()
        return [_batch(mine[place : place + size], tokens) for place in range(0, len(mine), size)]

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        """A batch's part (scalar) of the mean over the tokens of its step."""
        read = rollouts.forward(model, inputs["prompts"], inputs["answers"], self.temperature)
        old, advantages, mask = inputs["old"], inputs["advantages"], inputs["weights"] > 0
        clip, value_clip = self.values.ppo_clip, self.values.ppo_value_clip
        policy = ppo_math.policy_loss(read.logprobs, old, advantages, clip)
        value = ppo_math.value_loss(read.values, inputs["values"], inputs["returns"], value_clip)
        clipped = ppo_math.is_clipped(read.logprobs, old, advantages, clip).float()
        self.note("policy_loss", policy[mask])
        self.note("value_loss", value[mask])
        self.note("entropy", read.entropy[mask])
        self.note("clip_fraction", clipped[mask])
        losses = policy + self.values.ppo_value_coef * value
        # averaged over processes again when gradients are joined
        loss = (losses * inputs["weights"]).sum() * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def round_state(self) -> dict[str, Any]:
        """The coefficient, the moments of the scores and, within a round, its answers."""
        within = self.state.global_step % self.round_steps
        return {
            "coefficient": self.control_kl.coefficient,
            "moments": vars(self.moments).copy(),
            "round": self.round if within else [],
        }

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on within a round from the state that `round_state` gave."""
        self.control_kl.coefficient = state["coefficient"]
        self.moments = Moments(**state["moments"])
        self.round = state["round"]

    def _sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.args.world_size == 1:
            return tensor
        total: Tensor = self.accelerator.reduce(tensor.to(self.args.device))
        return total


def _pad_batches(parts: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Values of several batches as those of one, padded with 0 to the shape of the mask."""
    rows = [row for part in parts for row in part]
    padded = torch.zeros(mask.shape, device=mask.device)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


def _batch(rows: Sequence[Example], tokens: float) -> Batch:
    """Some answers of a round as one batch of a step whose answers have `tokens` tokens in all."""
    answers = [row["answer"] for row in rows]
    lengths = sum(len(row["prompt"]) for row in rows) + sum(map(len, answers))
    return {
        "prompts": [row["prompt"] for row in rows],
        "answers": answers,
        "tokens": lengths,
        "weights": rollouts.mask_of(answers).float() / tokens,
        **{
            name: pad_sequence([row[name] for row in rows], batch_first=True)
            for name in TOKEN_VALUES
        },
    }
