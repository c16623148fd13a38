"""GRPO: a group of answers to each question is drawn, rewarded and compared within itself.

Shao et al., arXiv:2402.03300. There is no value head: an answer is as good as it is better than the
others of its group. Answers of a whole optimizer step are drawn before its first gradient, so that
a step of several batches equals one large batch.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch import Tensor
from torch.utils.data import RandomSampler

from backend import generation
from backend.contract.field import Value
from backend.contract.problems import Problem, UsageError
from backend.data import templates
from backend.failures import Stopped
from backend.model.reference import Reference, still
from backend.report import Report
from backend.training import grpo_math, reward_functions, rollouts, scoring
from backend.training.batches import Repeated
from backend.training.callback import agreed
from backend.training.trainer import RunTrainer

Values = Mapping[str, Value]
Row = dict[str, Any]
Batch = dict[str, Any]
Ids = list[list[int]]

PRIME = 1_000_003  # keeps the draws of neighbouring seeds apart
PATIENCE = 10  # steps in which no answer was better than another before that is told
SHOWN = 200  # characters of an answer in the log

logger = logging.getLogger(__name__)


class GrpoTrainer(RunTrainer):
    """Draws answers, rewards them, and makes those more likely that are better than their group.

    A batch counts questions; each has `num_generations` answers. What it draws depends on seed,
    step and process only, so a resumed run draws the same.
    """

    def __init__(self, values: Values, report: Report, **given: Any) -> None:
        super().__init__(values=values, report=report, **given)
        self.loss_is_scaled_for_ga = True  # the weights of the tokens add up over a whole step
        self.group = int(values["num_generations"] or 2)
        self.iterations = int(values["num_iterations"] or 1)
        self.beta = float(values["grpo_beta"] or 0.0)
        self.longest = int(values["max_new_tokens"] or 1)
        self.reference: Reference | None = None
        if self.beta:
            self.reference = Reference(self.model, values, len(self.processing_class))
        template = templates.load(values, self.processing_class)
        self.ends = generation.end_ids(self.model, self.processing_class, template.stop_ids)
        scorer = None
        if "reward_model" in reward_functions.weights(values):
            scorer = scoring.load(values, self.model, self.processing_class)
        self.rewards = reward_functions.Rewards(values, report.notice, scorer)
        self.drawn: list[Batch] = []  # what the present answers are learned from
        self.flat = 0  # steps in a row without a better and a worse answer
        self._need_references()

    @classmethod
    def check(cls, values: Values) -> None:
        """Raises UsageError for a reward that cannot be computed, before the model is loaded."""
        reward_functions.build(values, lambda _: None)

    def collator(self, _tokenizer: Any) -> Any:
        """Rows as they are: what is learned from is yet to be drawn."""
        return lambda rows: {"rows": list(rows)}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        order = super()._get_train_sampler(train_dataset)
        if self.iterations == 1:
            return order
        if isinstance(order, RandomSampler):  # accelerate does so only with one that it sees
            order = SeedableRandomSampler(order.data_source, data_seed=self.args.seed)
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return Repeated(order, size * self.args.world_size, self.iterations)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], None]:
        """The batches of one step; new answers where the present ones have been used enough."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not self.drawn or self.state.global_step % self.iterations == 0:
            start = time.monotonic()
            self.drawn = self._draw([batch["rows"] for batch in batches])
            self.told.busy += time.monotonic() - start
        return self.drawn, None

    def _draw(self, batches: Sequence[Sequence[Row]]) -> list[Batch]:
        """One batch to learn from for each batch of rows, all drawn by the present model.

        Raises Stopped where a stop is asked for meanwhile.
        """
        drawn: list[Batch] = []
        with self._seeded(self.state.global_step), still(self.model):
            for rows in batches:
                prompts = [row["input_ids"] for row in rows for _ in range(self.group)]
                drawn.append({"prompts": prompts, "answers": self._answer(prompts)})
                self._remember(drawn[-1])
        self.model.train()
        self._judge([row for rows in batches for row in rows], drawn)
        return drawn

    def _answer(self, prompts: Ids) -> Ids:
        """An answer to each prompt. Raises Stopped where a stop is asked for meanwhile."""
        answers = rollouts.generate(
            self.accelerator.unwrap_model(self.model),
            self.processing_class,
            prompts,
            self.values,
            self.ends,
            self.report.stop_requested,
        )
        if agreed(self.report.stop_requested(), self.args):
            raise Stopped
        return answers

    def _remember(self, batch: Batch) -> None:
        """Log-probabilities [n, t] when drawn (for further steps) and under the reference."""
        given = (batch["prompts"], batch["answers"])
        with self.compute_loss_context_manager():
            if self.iterations > 1:
                batch["old"] = self._logprobs(self.model, *given)
            if self.reference is not None:
                with self.reference.model() as start:
                    batch["reference"] = self._logprobs(start, *given)

    def _logprobs(self, model: Any, prompts: Ids, answers: Ids) -> Tensor:
        """Of each token of the answers as it is drawn, float32 [n, t]; 0 behind an answer's end."""
        temperature = float(self.values["temperature"] or 1.0)
        return rollouts.logprobs(model, prompts, answers, temperature)

    def _judge(self, rows: Sequence[Row], drawn: Sequence[Batch]) -> None:
        """Put `advantages` [n] and `weights` [n, t] into the batches of a step."""
        prompts = [ids for batch in drawn for ids in batch["prompts"]]
        answers = [ids for batch in drawn for ids in batch["answers"]]
        rewards = self._reward([row for row in rows for _ in range(self.group)], prompts, answers)
        self._note_groups(rewards)
        better = grpo_math.advantages(
            rewards, self.group, str(self.values["scale_rewards"]), self.accelerator.gather
        )
        mine = torch.tensor([len(answers), sum(map(len, answers))], device=self.args.device)
        count, tokens = (int(one) for one in self.accelerator.reduce(mine).tolist())
        for batch in drawn:
            size = len(batch["answers"])
            batch["advantages"], better = better[:size], better[size:]
            mask = rollouts.mask_of(batch["answers"]).float()
            loss = str(self.values["grpo_loss"])
            batch["weights"] = grpo_math.weights(mask, loss, (count, tokens), self.longest)
            batch["tokens"] = int(mask.sum()) + sum(map(len, batch["prompts"]))

    def _reward(
        self, rows: Sequence[Row], prompts: Ids, answers: Ids, own: int | None = None
    ) -> Tensor:
        """Weighted rewards, [n], on the device; of the first `own` the figures are noted."""
        texts = (
            [question(row["messages"]) for row in rows],
            [self._text(ids) for ids in answers],
            [row["reference"] or "" for row in rows],
        )
        ids = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        found = self.rewards(texts, ids)
        total = self.rewards.total(found)
        cut = [float(not ids or ids[-1] not in self.ends) for ids in answers]
        figures = {
            **{f"rewards/{name}": values for name, values in found.items()},
            "reward": total,
            "completion_length": torch.tensor([float(len(ids)) for ids in answers]),
            "clipped_ratio": torch.tensor(cut),
        }
        for name, values in figures.items():
            self.note(name, values[:own])
        if self.model.training and self.state.global_step % self.args.logging_steps == 0:
            logger.info("an answer (reward %.3f): %.*r", total[0], SHOWN, texts[1][0])
        return total.to(self.args.device)

    def _text(self, answer: list[int]) -> str:
        kept = answer[:-1] if answer and answer[-1] in self.ends else answer
        text: str = self.processing_class.decode(kept, skip_special_tokens=True)
        return text

    def _need_references(self) -> None:
        """Raise UsageError where answers are to be compared with those of data that has none."""
        if any(self.train_dataset["reference"]):
            return
        for name in self.rewards.weights:
            if name in {"exact_match", "contains"}:
                params = {"name": name}
                raise UsageError(
                    Problem(code="reward_needs_reference", field="reward_functions", params=params)
                )

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
        self, model: Any, inputs: Batch, return_outputs: bool = False, **_: Any
    ) -> Any:
        """A batch's part (scalar) of the loss of its step."""
        new = self._logprobs(model, inputs["prompts"], inputs["answers"])
        learned = inputs["weights"] > 0
        old = inputs.get("old", new.detach())
        epsilon = float(self.values["epsilon"] or 0.0)
        tokens = grpo_math.clipped(new, old, inputs["advantages"], epsilon)
        if self.reference is not None:
            distance = grpo_math.kl(new, inputs["reference"])
            self.note("kl", distance[learned])
            tokens = tokens + self.beta * distance
        # averaged over processes again when gradients are joined
        loss = (tokens * inputs["weights"]).sum() * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> Any:
        """One answer to each question, always drawn alike; the loss is the reward, negative."""
        del model
        rows = inputs["rows"]
        prompts = [row["input_ids"] for row in rows]
        with self._seeded(0), torch.no_grad():
            answers = self._answer(prompts)
        return -self._reward(rows, prompts, answers, self._own(len(rows))).mean(), None, None

    def _own(self, rows: int) -> int:
        """How many rows of a batch do not just fill up a group's last batch a second time."""
        state = self.accelerator.gradient_state
        if self.args.world_size == 1 or not state.end_of_dataloader or state.remainder <= 0:
            return rows
        return max(0, int(state.remainder) - self.args.process_index * rows)

    def evaluation_loop(self, *given: Any, **named: Any) -> Any:
        """As the Trainer's, with the mean over questions instead of the mean over batches."""
        output = super().evaluation_loop(*given, **named)
        mine = self.eval_figures.sums["reward"].float().to(self.args.device)
        total, count = self.accelerator.gather(mine[None]).sum(0).tolist()
        output.metrics["eval_loss"] = -total / max(count, 1)
        return output

    @contextmanager
    def _seeded(self, step: int) -> Iterator[None]:
        """Within, what is drawn depends on seed, step and process, and on nothing before it."""
        place = step * self.args.world_size + self.args.process_index
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed * PRIME + place)
            yield

    def _run_epoch(self, *given: Any, **named: Any) -> None:
        """As RunTrainer's; a stop while answers are drawn saves what was learned before."""
        try:
            super()._run_epoch(*given, **named)
        except Stopped:
            self.told.stopped = self.control.should_training_stop = True
            self._save_checkpoint(self.model, named["trial"])

    def _save_rng_state(self, output_dir: str) -> None:
        """With it the answers, where further steps are to be learned from them."""
        super()._save_rng_state(output_dir)
        if self.state.global_step % self.iterations:
            torch.save(self.drawn, self._drawn_file(Path(output_dir)))

    def _restore(self, path: Path) -> None:
        super()._restore(path)
        file = self._drawn_file(path.parent)
        if file.is_file():
            self.drawn = torch.load(file, map_location=self.args.device, weights_only=True)

    def _drawn_file(self, folder: Path) -> Path:
        return folder / f"answers_{self.args.process_index}.pt"

    def floating_point_ops(self, _inputs: Batch) -> int:
        """Not counted: the Trainer's estimate knows nothing of drawing answers."""
        return 0


def question(messages: str) -> str:
    """The last question of a conversation, given as JSON text."""
    asked = [one["content"] for one in json.loads(messages) if one["role"] == "user"]
    return str(asked[-1]) if asked else ""
