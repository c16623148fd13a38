"""How a run goes on from a checkpoint: to the bit where nothing has changed, and row by row where
its batches are others.

transformers' Trainer finds its place again by the number of steps, which is wrong as soon as a step
has another size; and it keeps the rates, intervals and patience of the checkpoint, whatever the
arguments say now.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase, Trainer
from transformers.trainer_callback import EarlyStoppingCallback

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.runs import resuming
from backend.contract.runs.position import PROGRESS, Cut, Position
from backend.contract.runs.resume_kinds import begins_again, packs_rows
from backend.contract.texts.problems import Problem
from backend.data.streams import Stream
from backend.running.report import Report
from backend.training.arguments import world_size
from backend.training.batches import make_order, name_order
from backend.training.callback import MetricMeans, ReportCallback

# Arguments that a run chooses by itself where they are left open.
CHOSEN: tuple[ArgumentName, ...] = ("disable_gradient_checkpointing", "bf16")
# What follows from arguments in the groups of an optimizer; the rest is its state.
GROUP_OPTIONS = ("initial_lr", "betas", "eps", "weight_decay")


def resume_position(
    checkpoint: Path | None, values: Arguments, size: int, key: str, report: Report
) -> Position | None:
    """Where a run goes on in its data, and how many steps it takes in all; None where it begins, or
    where its checkpoint does not say where it lies.

    `size` is the number of rows in an epoch's order (0 for a stream), `key` stands for the data.
    What has changed since the checkpoint was written is said as notices.
    """
    if checkpoint is None:
        return None
    then, before = resuming.arguments_then(checkpoint, values), Position.of(checkpoint)
    names = resuming.compare(then, values)
    if names:
        describe = resuming.shorten
        pairs = [f"{name} {describe(then[name])} → {describe(values[name])}" for name in names]
        params: dict[str, str | int] = {"changes": "; ".join(pairs)}
        report.notice(Problem(code="resumed_with_changes", params=params, notice=True))
    if before is None:
        return None
    other_data = bool(key and before.data and key != before.data)
    if other_data:
        report.notice(Problem(code="data_changed", field="dataset", notice=True))
    from_start = begins_again(names, then, values) or (other_data and packs_rows(values))
    cut = resuming.cut_of(values, world_size())
    after = before.going_on(cut, size, "", again=from_start)
    if before.rows and not after.rows:
        params = {"epoch": after.epoch + 1}
        report.notice(Problem(code="epoch_begins_again", params=params, notice=True))
    return replace(after, total=resuming.steps_in_all(before, after, then, values))


class Rest(Sampler[int]):
    """An order of rows, the first of which are done in one epoch; those after it have another.

    Its length is that of a whole epoch.
    """

    def __init__(self, first: Any, epoch: int, done: int, later: Any) -> None:
        self.first, self.later = first, later
        self.cut_epoch, self.done = epoch, done
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next."""
        self.epoch = epoch
        for order in (self.first, self.later):
            if hasattr(order, "set_epoch"):
                order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.later)

    def __iter__(self) -> Iterator[int]:
        if self.epoch == self.cut_epoch:
            return islice(self.first, self.done, None)
        return iter(self.later)


@dataclass(frozen=True)
class _Epoch:
    """The epoch under way: its number, the rows of it that were done when its batches began, the
    step at which they did, and how many they are to its end; how its rows are ordered."""

    number: int = 0
    begun: int = 0
    base: int = 0
    batches: int = 0
    order: str = ""


class ResumingTrainer(Trainer):
    """A Trainer that goes on exactly from a `place` in its data, for which `data_key` stands.

    `arguments` are those that the run was started with, as its checkpoints keep them.
    """

    values: Arguments
    report_callback: ReportCallback
    means: MetricMeans
    optimizer: Any
    model: nn.Module
    processing_class: PreTrainedTokenizerBase

    def __init__(
        self,
        place: Position | None = None,
        data_key: str = "",
        arguments: Arguments | None = None,
        **kwargs: Any,
    ) -> None:
        self.place = place
        self.data_key = data_key
        secret = {name for name, row in FIELDS.items() if row.secret}
        values = arguments.as_mapping() if arguments else {}
        self.arguments = {name: value for name, value in values.items() if name not in secret}
        self.checkpoint: Path | None = None  # what the run goes on from, until it is taken up
        self._epoch = _Epoch()
        self._group_options: list[dict[str, Any]] = []
        self._size = 0
        super().__init__(**kwargs)
        if place and place.begun and not place.size:
            assert isinstance(self.train_dataset, Stream)  # no other data set is without a size
            self.train_dataset.start = place.begun

    # Where in the data

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        data = self.train_dataset if train_dataset is None else train_dataset
        name = self._order_name(data)
        first = self.place.order if self.place and self.place.order else name
        if self.place and (self.place.begun or first != name):
            orders = [self._order(each, data) for each in (first, name)]
            return Rest(orders[0], self.place.epoch, self.place.begun, orders[1])
        if name == "random":
            return self._random_order(data)
        return self._order(name, data)

    def _random_order(self, data: Any) -> Any:
        """The order of rows drawn by the seed."""
        return super()._get_train_sampler(data)

    def _order_name(self, data: Any) -> str:
        return name_order(self.values, data, self._cut)

    def _order(self, name: str, data: Any) -> Any:
        assert self.args.data_seed is not None  # set by arguments.build
        return make_order(name, data, self.args.data_seed)

    def _rows_of(self, order: Any) -> int:
        """How many rows an epoch's order has, as a position counts them."""
        return len(order)

    @property
    def _cut(self) -> Cut:
        """How the rows are cut now."""
        batch = self.args.train_batch_size * self.args.world_size
        return Cut(batch, self.args.gradient_accumulation_steps)

    def set_initial_training_values(self, args: Any, dataloader: Any) -> Any:
        """As the Trainer's, with the steps and epochs that are left where the run goes on."""
        order = sampler_of(dataloader)
        self._size = self._rows_of(order) if hasattr(order, "__len__") else 0
        values = list(super().set_initial_training_values(args, dataloader))
        if self.place is None:
            return tuple(values)
        place, steps_of_epoch = self.place, values[1]
        left = place.total - place.step
        rest = place.steps_of(place.size - place.begun) - (place.step - place.base)
        if left <= 0:
            values[0] = place.epoch
        elif place.size:
            assert steps_of_epoch is not None  # None stands for a data set of unknown size
            values[0] = place.epoch + 1 + max(0, math.ceil((left - rest) / steps_of_epoch))
        values[6] = place.total
        return tuple(values)

    def _init_training_state(self, max_steps: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Epochs done, and batches done since those of the present epoch began. The intervals are
        those of the arguments, not of the checkpoint."""
        epochs, batches = super()._init_training_state(max_steps, *args, **kwargs)
        self.state.compute_steps(self.args, max_steps)
        return (self.place.epoch, self.place.batches) if self.place else (epochs, batches)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """As the Trainer's; of an epoch whose batches were cut anew, the rest is the whole."""
        number, goes_on = kwargs["epoch"], kwargs["epoch"] == kwargs["epochs_trained"]
        resumed = self.checkpoint is not None and goes_on
        done = kwargs["steps_trained_in_current_epoch"] if resumed else 0
        place = self.place if resumed else None
        begun = place.begun if place else 0
        base = self.state.global_step - math.ceil(done / self._cut.accumulation)
        if place and begun:
            steps = self.state.max_steps - base
            batches = steps * self._cut.accumulation
            if place.size:
                rows = place.size - begun
                steps, batches = place.steps_of(rows), place.batches_of(rows)
            kwargs |= {"num_update_steps_per_epoch": steps, "steps_in_epoch": batches}
        share = begun / self._size if self._size else base / self.state.max_steps
        self.report_callback.begun = (number, share if begun else 0.0)
        name = place.order if place else ""
        self._epoch = _Epoch(number, begun, base, kwargs["steps_in_epoch"], name)
        order = sampler_of(kwargs["train_dataloader"])
        if hasattr(order, "set_epoch"):  # accelerate does not reach it through skipped batches
            order.set_epoch(number)
        if resumed:
            self.take_up_progress()
        super()._run_epoch(*args, **kwargs)

    def position(self) -> Position:
        """Where the run lies in its data now, after a step."""
        batch, accumulation = self._cut
        epoch, step = self._epoch, self.state.global_step
        batches = min((step - epoch.base) * accumulation, epoch.batches)
        here = Position(
            step=step,
            epoch=epoch.number,
            begun=epoch.begun,
            rows=epoch.begun + batches * batch,
            size=self._size,
            batch=batch,
            accumulation=accumulation,
            total=self.state.max_steps,
            order=epoch.order or ("" if not self._size else self._order_name(self.train_dataset)),
            data=self.data_key,
        )
        if not self._size or here.rows < self._size:
            return here
        return replace(here, epoch=epoch.number + 1, begun=0, rows=0, order="")

    # What is given now goes before what the checkpoint holds

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's; what the arguments give the optimizer is noted, before it is loaded."""
        scheduler = super().create_scheduler(*args, **kwargs)
        groups = self.optimizer.param_groups
        self._group_options = [
            {name: group[name] for name in GROUP_OPTIONS if name in group} for group in groups
        ]
        return scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As the Trainer's; then rates, decay and betas are those of the arguments, and the rate is
        read off their schedule at this step."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        groups = self.optimizer.param_groups
        for group, options in zip(groups, self._group_options, strict=True):
            group.update(options)
        schedule = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)
        if not isinstance(schedule, LambdaLR):  # it holds the rate itself
            return
        schedule.base_lrs = [group["initial_lr"] for group in groups]
        for group, base, share in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * share(schedule.last_epoch)
        schedule._last_lr = [group["lr"] for group in groups]

    def _load_callback_state(self) -> None:
        super()._load_callback_state()
        patience = self.values.early_stopping_steps
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EarlyStoppingCallback) and patience:
                callback.early_stopping_patience = int(patience)

    # What TrainerState does not keep

    def progress(self) -> dict[str, Any]:
        """The open logging window and the clock, so that a resumed curve equals an unbroken one;
        the place in the data; the arguments, without secrets, and what was chosen for them."""
        return {
            "loss": self.accelerator.gather(self._tr_loss).mean().item(),
            "logged": self._globalstep_last_logged,
            "total_loss": self._total_loss_scalar,
            "seconds": self.report_callback.seconds(),
            "busy": self.report_callback.busy,
            "tokens": self.report_callback.tokens,
            "figures": self.means.state(),
            "position": self.position().to_json(),
            "arguments": self.arguments,
            "choices": {name: self.values[name] for name in CHOSEN},
        }

    def take_up_progress(self) -> None:
        """Open the logging window again that the checkpoint was written in; once."""
        checkpoint, self.checkpoint = self.checkpoint, None
        if checkpoint is not None:
            self._restore(checkpoint / PROGRESS)

    def _restore(self, path: Path) -> None:
        if not path.is_file():
            return
        row = json.loads(path.read_bytes())
        self._tr_loss += row["loss"]
        self._globalstep_last_logged = int(row["logged"])
        self._total_loss_scalar = row["total_loss"]
        self._initial_global_step = 0
        self.report_callback.elapsed, self.report_callback.busy = row["seconds"], row["busy"]
        self.report_callback.tokens = int(row["tokens"])
        self.means.restore(row.get("figures", {}))

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's; also where there was no step left, the metrics are those of the run."""
        self.take_up_progress()
        return super()._finalize_training(*args, **kwargs)


def sampler_of(dataloader: Any) -> Any:
    """The order of rows that a data loader takes its batches from, None for a stream."""
    batches: Any = getattr(dataloader, "batch_sampler", None)
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    return getattr(batches, "sampler", None)
