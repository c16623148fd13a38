"""A Trainer that draws what it learns from: answers of the model as it is now.

A step is one optimizer step. Of each round, `buffer` steps' worth of questions are answered at its
beginning; the answers are learned from in `passes` times `buffer` steps.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch import Tensor
from torch.utils.data import RandomSampler

from backend.contract.arguments.typed import Arguments
from backend.data import templates
from backend.model import generation
from backend.model.reference import evaluation_mode
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.training import rollouts
from backend.training.batches import Repeated
from backend.training.callback import broadcast_decision
from backend.training.trainer import RunTrainer

Example = dict[str, Any]
Batch = dict[str, Any]
Ids = list[list[int]]

PRIME = 1_000_003  # keeps the draws of neighboring seeds apart
SHOWN = 200  # characters of an answer in the log

logger = logging.getLogger(__name__)


class RolloutTrainer(RunTrainer):
    """What is drawn depends on seed, step and process only, so a resumed run draws the same.

    A stage gives `draw`, `learnable` and `score_answers`, and what it must remember within a round.
    """

    def __init__(
        self, values: Arguments, report: Report, *, buffer: int, passes: int, **kwargs: Any
    ):
        super().__init__(values=values, report=report, **kwargs)
        self.loss_is_scaled_for_ga = True  # the weights of the tokens add up over a whole step
        self.buffer, self.passes = buffer, passes
        self.own: int | None = None  # only so many answers of an evaluation batch count; None: all
        self.taken = 0  # batches of questions that this round has taken from the loader
        self.temperature = values.temperature or 1.0  # the likeliest answers: as the model says
        template = templates.load(values, self.processing_class)
        self.ends = generation.end_ids(self.model, self.processing_class, template.stop_ids)

    def draw(self, batches: Sequence[Sequence[Example]]) -> None:
        """Answer the questions of a round, judge the answers, and keep them."""
        raise NotImplementedError

    def learnable(self, step: int, count: int) -> list[Batch]:
        """What a step of the present round learns from, as `count` batches; `step` counts from 0.

        A batch has `tokens`, how many are learned from.
        """
        raise NotImplementedError

    def score_answers(self, rows: Sequence[Example], prompts: Ids, answers: Ids) -> Tensor:
        """The rewards of answers to these rows, [n] on the device, with their metrics."""
        raise NotImplementedError

    def round_state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this process within a round: plain values and tensors."""
        raise NotImplementedError

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on within a round from the state that `round_state` gave."""
        raise NotImplementedError

    def collator(self, _tokenizer: Any) -> Any:
        """Rows as they are: what is learned from is yet to be drawn."""
        return lambda rows: {"rows": list(rows)}

    @property
    def round_steps(self) -> int:
        """Optimizer steps from one drawing to the next."""
        return self.buffer * self.passes

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        order = super()._get_train_sampler(train_dataset)
        if self.round_steps == 1:
            return order
        if isinstance(order, RandomSampler):  # accelerate does so only with one that it sees
            order = SeedableRandomSampler(order.data_source, data_seed=self.args.data_seed)
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.buffer
        return Repeated(order, size * self.args.world_size, self.passes)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], None]:
        """The batches of one step; at the beginning of a round it is drawn first."""
        del device
        step = self.state.global_step % self.round_steps
        if step == 0:
            self.taken = 0
        wanted = max(self.buffer, step + 1) * num_batches
        batches = list(islice(epoch_iterator, wanted - self.taken))
        self.taken = wanted
        if step == 0:
            start = time.monotonic()
            self.model.train()  # metrics are those of the training, also after an evaluation
            with self._seed_draws(self.state.global_step):
                self.draw([batch["rows"] for batch in batches])
            self.report_callback.busy += time.monotonic() - start
        return self.learnable(step, num_batches), None

    def answer(self, prompts: Ids) -> Ids:
        """One answer to each. Raises Stopped where a stop is asked for meanwhile."""
        model = self.accelerator.unwrap_model(self.model)
        # in a group, each process answers to the end: the others wait for it
        stop = self.report.stop_requested if self.args.world_size == 1 else lambda: False
        with evaluation_mode(model), self.compute_loss_context_manager():
            answers: Ids = rollouts.generate(
                model, self.processing_class, prompts, self.values, self.ends, stop
            )
        if broadcast_decision(self.report.stop_requested(), self.args):
            raise Stopped
        return answers

    def note_answers(self, answers: Ids, rewards: Tensor) -> None:
        """The metrics of drawn answers, and one of them in the log."""
        self.note("reward", rewards)
        self.note("completion_length", torch.tensor([float(len(ids)) for ids in answers]))
        cut = [float(not ids or ids[-1] not in self.ends) for ids in answers]
        self.note("clipped_ratio", torch.tensor(cut))
        if self.model.training and self.state.global_step % self.args.logging_steps == 0:
            logger.info("an answer (reward %.3f): %.*r", rewards[0], SHOWN, self.text(answers[0]))

    def text(self, answer: list[int]) -> str:
        """An answer as text, without its end token."""
        ids = answer[:-1] if answer and answer[-1] in self.ends else answer
        text = self.processing_class.decode(ids, skip_special_tokens=True)
        assert isinstance(text, str)  # one answer, one text
        return text

    def prediction_step(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> Any:
        """One answer to each question, always drawn alike; the loss is the reward, negative."""
        del model
        prompts = [row["input_ids"] for row in inputs["rows"]]
        self.own = self.own_rows(len(prompts))
        with self._seed_draws(0), torch.no_grad():
            answers = self.answer(prompts)
            rewards = self.score_answers(inputs["rows"], prompts, answers)
        self.note("loss", -rewards)
        self.own = None
        return -rewards.mean(), None, None

    def note(self, name: str, values: Tensor) -> None:
        """As RunTrainer's, of values [n] that belong to n answers."""
        super().note(name, values[: self.own])

    @contextmanager
    def _seed_draws(self, step: int) -> Iterator[None]:
        """Within, what is drawn depends on seed, step and process, and on nothing before it."""
        place = step * self.args.world_size + self.args.process_index
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed * PRIME + place)
            yield

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """As RunTrainer's; a stop while answers are drawn saves what was learned before."""
        try:
            super()._run_epoch(*args, **kwargs)
        except Stopped:
            self.report_callback.stopped = self.control.should_training_stop = True
            self._save_checkpoint(self.model, kwargs["trial"])

    def _save_rng_state(self, output_dir: str) -> None:
        """With it what the rest of the round is learned from: each process has its own."""
        super()._save_rng_state(output_dir)
        state = self.round_state()
        if state:
            torch.save(state, self._answers_file(Path(output_dir)))

    def _restore(self, path: Path) -> None:
        super()._restore(path)
        step = self.state.global_step % self.round_steps
        self.taken = step * self.args.gradient_accumulation_steps
        file = self._answers_file(path.parent)
        if file.is_file():
            self.restore_round(torch.load(file, map_location=self.args.device, weights_only=True))

    def _answers_file(self, folder: Path) -> Path:
        return folder / f"answers_{self.args.process_index}.pt"

    def floating_point_ops(self, _inputs: Batch) -> int:
        """Not counted: the Trainer's estimate knows nothing of drawing answers."""
        return 0
