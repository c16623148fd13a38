"""The course of a training before it begins: its steps, what each of them costs in tokens, and
where it is evaluated and saved.

Rows are counted, ordered and cut by the functions that the training itself uses.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import DefaultFlowCallback

from backend.contract.arguments.fields.stages import DRAWING, PAIRED, TRL
from backend.contract.arguments.typed import Arguments
from backend.contract.runs.position import Cut
from backend.contract.runs.resuming import cut_of
from backend.data.length_order import read_lengths
from backend.training.arguments import steps_of_epoch, total_steps
from backend.training.batches import make_order, name_order

AT_ONCE = 1000  # rows whose tokens are counted at once
VISITS = 20_000_000  # rows that are learned in a training whose every step is looked at

Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class StepSizes:
    """Numbers for each step, int64 [steps].

    batches  how often rows pass through the model
    tokens   tokens without padding, as metrics.jsonl counts them
    padded   tokens with padding
    squares  the sum over rows of the square of their padded length: what attention goes by
    """

    batches: Numbers
    tokens: Numbers
    padded: Numbers
    squares: Numbers


@dataclass(frozen=True)
class Course:
    """What a training will do.

    rows         rows to train on; packed ones count once, and a stream has 0
    evaluated    rows to evaluate on
    steps        optimizer steps; `epochs` says how often the rows are learned meanwhile
    sizes        of each step; None where answers are yet to be drawn, or the rows are too many
    evaluations  how many there are
    checkpoints  how many are written, the ones that are removed again included
    """

    rows: int
    evaluated: int
    steps: int
    epochs: float
    sizes: StepSizes | None
    evaluations: int
    checkpoints: int

    @property
    def tokens(self) -> int | None:
        """Tokens that are learned from in all, where they are known."""
        return None if self.sizes is None else int(self.sizes.tokens.sum())

    def without_sizes(self, steps: int) -> "Course":
        """The course with another number of steps, whose sizes are then not known."""
        return replace(self, steps=steps, sizes=None)


def plan(
    values: Arguments, rows: Any, evaluated: int, args: TrainingArguments, processes: int
) -> Course:
    """The course of a training on `rows`, a data set with the columns of the stage (or a stream).

    `args` are those of arguments.build, and `processes` is how many train together.
    """
    count = len(rows) if hasattr(rows, "__len__") else 0
    steps = total_steps(values, count, processes)
    of_epoch = steps_of_epoch(values, count, processes) if count else steps
    sizes = None
    if count and values.stage not in {*DRAWING, *TRL} and steps / of_epoch * count <= VISITS:
        sizes = _measure_steps(values, rows, steps, args.data_seed or 0, processes)
    evaluations, checkpoints = count_events(args, steps, of_epoch)
    return Course(
        rows=count,
        evaluated=evaluated,
        steps=steps,
        epochs=steps / of_epoch if count else 0.0,
        sizes=sizes,
        evaluations=evaluations if evaluated else 0,
        checkpoints=checkpoints,
    )


def count_events(args: TrainingArguments, steps: int, of_epoch: int) -> tuple[int, int]:
    """How often a training of so many steps is evaluated and saved: the Trainer's own callback is
    asked after each step and each epoch."""
    flow, control = DefaultFlowCallback(), TrainerControl()
    state = TrainerState(max_steps=steps)
    state.compute_steps(args, steps)
    evaluations, checkpoints = int(args.eval_on_start), 0
    for step in range(1, steps + 1):
        state.global_step, state.epoch = step, step / of_epoch
        asked = [flow.on_step_end]
        if step % of_epoch == 0 or step == steps:
            asked.append(flow.on_epoch_end)
        for ask in asked:
            control.should_evaluate = control.should_save = False
            ask(args, state, control)
            evaluations += control.should_evaluate
            checkpoints += control.should_save
    return evaluations, checkpoints


def _measure_steps(
    values: Arguments, rows: Any, steps: int, seed: int, processes: int
) -> StepSizes:
    cut = cut_of(values, processes)
    lengths, tokens = _count_tokens(rows, values.stage)
    copies = 2 if values.stage in PAIRED else 1
    order = make_order(name_order(values, rows, cut), rows, seed)
    columns: list[Numbers] = []
    done = epoch = 0
    while done < steps:
        if hasattr(order, "set_epoch"):
            order.set_epoch(epoch)
        places = np.fromiter(order, np.int64, len(lengths))
        if processes > 1:  # a group's last batch is filled up with the first rows
            places = np.resize(places, -(-len(places) // cut.batch) * cut.batch)
        column = _cut_epoch(lengths[places], tokens[places], cut, copies)
        columns.append(column[:, : steps - done])
        done, epoch = done + column.shape[1], epoch + 1
    return StepSizes(*np.concatenate(columns, axis=1))


def _cut_epoch(lengths: Numbers, tokens: Numbers, cut: Cut, copies: int) -> Numbers:
    """The rows of StepSizes for the steps of an epoch, [4, steps]."""
    starts = np.arange(0, len(lengths), cut.batch)
    counts = np.diff(np.append(starts, len(lengths))) * copies
    longest = np.maximum.reduceat(lengths, starts)
    batches = np.stack(
        [
            np.ones_like(counts),
            np.add.reduceat(tokens, starts),
            counts * longest,
            counts * longest**2,
        ]
    )
    return np.add.reduceat(batches, np.arange(0, len(starts), cut.accumulation), axis=1)


def _count_tokens(rows: Any, stage: str) -> tuple[Numbers, Numbers]:
    """The longest sequence of each row, and its tokens in all: two arrays [rows]."""
    lengths = read_lengths(rows)
    if stage not in PAIRED:
        return lengths, lengths
    sides = ["chosen_input_ids", "rejected_input_ids"]
    parts = rows.select_columns(sides).with_format("arrow").iter(AT_ONCE)
    tokens = [
        sum(np.diff(part[side].combine_chunks().offsets.to_numpy()) for side in sides)
        for part in parts
    ]
    return lengths, np.concatenate(tokens).astype(np.int64)
