"""The Trainer's callback that reports metrics, progress and phases, and hands a stop to it.

Metrics that a stage notes batch by batch are averaged when a row is logged.
"""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from backend.contract.runs.metrics import NAMES, Metrics
from backend.contract.texts.problems import Problem, TuneboardError
from backend.running.failures import Stopped
from backend.running.report import Report, finite
from backend.training import disk
from backend.training.pace import Pace


class MetricMeans:
    """Means of named metrics since the last `take`, over all processes."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}  # name -> float64 [sum, count] on the CPU

    def note(self, name: str, values: torch.Tensor) -> None:
        """Add the elements of `values` (any shape, may be empty) to the mean of `name`."""
        numbers = values.detach().double()
        row = torch.stack([numbers.sum(), torch.tensor(float(numbers.numel())).to(numbers)]).cpu()
        self.sums[name] = self.sums[name] + row if name in self.sums else row

    def mean(self, name: str, accelerator: Any) -> float:
        """The mean of a metric since the last `take`, over all processes; 0 without elements."""
        row = self.sums.get(name, torch.zeros(2, dtype=torch.float64))
        total, count = self._sum(row, accelerator)
        return total / max(count, 1.0)

    def take(self, accelerator: Any, prefix: str = "") -> dict[str, float]:
        """The means by prefixed name; a name without elements is left out. Starts anew."""
        means: dict[str, float] = {}
        for name, row in sorted(self.sums.items()):
            total, count = self._sum(row, accelerator)
            if count:
                means[prefix + name] = total / count
        self.sums = {}
        return means

    @staticmethod
    def _sum(row: torch.Tensor, accelerator: Any) -> tuple[float, float]:
        """Sum and count of a metric over all processes."""
        if accelerator.num_processes > 1:
            row = accelerator.gather(row.float().to(accelerator.device)[None]).sum(0)
        total, count = row.tolist()
        return total, count

    def state(self) -> dict[str, list[float]]:
        """The open window, as JSON can hold it."""
        return {name: row.tolist() for name, row in self.sums.items()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Open a window again that `state` gave."""
        self.sums = {name: torch.tensor(row, dtype=torch.float64) for name, row in state.items()}


EVALUATION_GRACE = 20.0  # seconds; run_files.MIN_GRACE is what there is for stopping
OWN = {*NAMES, "total_flos", "train_loss"}  # columns, and what is kept elsewhere
OF_TRAINER = ("_runtime", "_per_second", "num_input_tokens_seen", "eval_perplexity")
PATIENCE = 3  # logged losses in a row that are no numbers

logger = logging.getLogger(__name__)


class ReportCallback(TrainerCallback):
    """Writes metrics.jsonl and status.json, and asks the Trainer to stop where the person asked."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.stopped = False
        self.elapsed = 0.0  # seconds of training before this process (a resumed run)
        self.busy = 0.0  # seconds inside steps since the last row
        self.tokens = 0  # tokens at the last row
        self._start = self._step = time.monotonic()
        # An epoch of which this share was done when its batches were cut anew, else 0.0.
        self.begun: tuple[int, float] = (0, 0.0)
        self.pace: Pace | None = None
        self._lap = self._start  # when the last step, evaluation or checkpoint ended
        self._odd = 0
        self._asked: float | None = None  # when an evaluation first saw that a stop was asked

    def seconds(self) -> float:
        """Seconds of training, over all sessions of the run."""
        return self.elapsed + time.monotonic() - self._start

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The clock starts when the first step can start."""
        self._start = self._lap = time.monotonic()
        self.report.phase("training")
        self._progress(state, epoch=state.epoch or 0.0)
        if broadcast_decision(self.report.stop_requested(), args):
            self.stopped = control.should_training_stop = True

    def on_prediction_step(self, args: TrainingArguments, *_args: Any, **_kwargs: Any) -> None:
        """A stop lets an evaluation finish only if it is short: the supervisor waits no longer."""
        self.report.beat()
        if self.report.stop_requested():
            self._asked = self._asked or time.monotonic()
        asked = self._asked
        late = asked is not None and time.monotonic() - asked >= EVALUATION_GRACE
        if broadcast_decision(late, args):
            raise Stopped

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """A step begins when its data is there."""
        self._step = time.monotonic()

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        """One of the batches of a step is done."""
        self.report.beat()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Progress; the last step is logged; a stop that was asked is saved, logged and obeyed."""
        number, share = self.begun
        if share:  # the Trainer takes the rest of such an epoch for the whole
            state.epoch = number + share + ((state.epoch or 0.0) - number) * (1 - share)
        self.busy += time.monotonic() - self._step
        if self.pace:
            self.pace.steps.append(self._end_lap())
        self._progress(state, epoch=state.epoch)
        if state.global_step >= state.max_steps:
            control.should_log = True
        elif broadcast_decision(self.report.stop_requested(), args):
            self.stop(control)

    def on_evaluate(self, *_: Any, **__: Any) -> None:
        """An evaluation is over: its time is not that of a step."""
        if self.pace:
            self.pace.evaluating.append(self._end_lap())

    def on_save(self, *_: Any, **__: Any) -> None:
        """A checkpoint is written: its time is not that of a step."""
        if self.pace:
            self.pace.saving.append(self._end_lap())

    def _end_lap(self) -> float:
        """Seconds since the last step, evaluation or checkpoint ended."""
        before, self._lap = self._lap, time.monotonic()
        return self._lap - before

    def _progress(self, state: TrainerState, **more: float | None) -> None:
        """Report how far the training is, and by its pace how long it still takes."""
        if self.pace:
            more["eta"] = self.pace.remaining()
        self.report.progress(state.global_step, state.max_steps, **more)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """One row for a logged loss, one for an evaluation."""
        del args, control
        logs = logs or {}
        if "loss" in logs:
            self._write_training_metrics(state, logs)
        elif "eval_loss" in logs:
            row = Metrics(
                step=state.global_step,
                epoch=state.epoch,
                eval_loss=finite(logs["eval_loss"]),
                time=self.seconds(),
                more=stage_metrics(logs),
            )
            self.report.metrics(row)
            logger.info("step %d: eval_loss %.4f", state.global_step, logs["eval_loss"])

    def _write_training_metrics(self, state: TrainerState, logs: dict[str, float]) -> None:
        seen = state.num_input_tokens_seen
        # Steps on answers that were learned from before count none: their time is the next row's.
        pace = (seen - self.tokens) / self.busy if self.busy > 0 and seen > self.tokens else None
        row = Metrics(
            step=state.global_step,
            epoch=state.epoch,
            loss=finite(logs["loss"]),
            learning_rate=logs.get("learning_rate"),
            grad_norm=finite(logs.get("grad_norm")),
            tokens=seen,
            tokens_per_second=pace,
            memory=memory(),
            disk_free=disk.free_bytes(self.report.folder),
            checkpoints=disk.checkpoint_bytes(self.report.folder),
            time=self.seconds(),
            more=stage_metrics(logs),
        )
        self.report.metrics(row)
        self._progress(state, epoch=state.epoch, tokens_per_second=pace)
        logger.info(
            "step %d of %d: loss %.4f, learning rate %.3g%s",
            *(state.global_step, state.max_steps, logs["loss"], logs.get("learning_rate", 0.0)),
            "" if pace is None else f", {pace:,.0f} tokens/s",
        )
        if pace is not None:
            self.tokens, self.busy = seen, 0.0
        self._odd = 0 if math.isfinite(logs["loss"]) else self._odd + 1
        if self._odd >= PATIENCE:
            params = {"step": state.global_step}
            raise TuneboardError(
                Problem(code="loss_not_finite", field="learning_rate", params=params)
            )

    def stop(self, control: TrainerControl) -> None:
        """End the training after this step, with a checkpoint."""
        self.stopped = True
        control.should_training_stop = control.should_save = True


def broadcast_decision(decision: bool, args: TrainingArguments) -> bool:
    """Return the decision of a group's first process in all of them.

    Otherwise one process would stop alone, and the others would wait for it for ever.
    """
    if args.world_size == 1:
        return decision
    flag = torch.tensor([int(decision)], device=args.device)
    torch.distributed.broadcast(flag, src=0)
    return bool(flag.item())


def stage_metrics(logs: dict[str, float]) -> dict[str, float]:
    """The metrics of the stage's own: neither columns of a row nor names of the Trainer's."""
    return {
        name: value
        for name, value in logs.items()
        if name not in OWN and not name.endswith(OF_TRAINER) and isinstance(value, int | float)
    }


def memory() -> int:
    """Bytes of memory: the GPU's peak so far; without a GPU, this process's resident memory now."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return int(psutil.Process().memory_info().rss)
