"""Gradient checkpointing where nobody has set it: off where a training fits without it.

It computes each layer twice, so that a step takes about a third longer and needs far less memory.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from datasets import Dataset

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.runs import position
from backend.contract.texts.problems import TuneboardError
from backend.contract.texts.terminal_text import decimal_size
from backend.data.length_order import read_lengths
from backend.data.lengths import Lengths, count_tokens
from backend.datafiles.layouts import WANTED
from backend.estimate.estimate import Estimate, estimate
from backend.estimate.free_memory import free_memory, least_free
from backend.model import adapters
from backend.model.device import device
from backend.training.arguments import world_size

COMFORT = 0.7  # of what is free; a training took at most 1.2 times its estimate (docs/estimates.md)
UNCOUNTED = 2 * 10**9  # bytes of a GPU, set aside for its driver, which no estimate knows of
NAME: ArgumentName = "disable_gradient_checkpointing"
LONGEST = 64  # rows at least whose labels are counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Arguments with gradient checkpointing set, and why.

    automatic  whether nobody had set it
    peak       what the training needs without it; None where that is not known
    limit      bytes up to which a training counts as fitting
    """

    values: Arguments
    automatic: bool = True
    peak: Estimate | None = None
    limit: int = 0

    @property
    def state(self) -> str:
        """Whether gradient checkpointing is "on" or "off"."""
        return "off" if self.values.disable_gradient_checkpointing else "on"

    def describe(self) -> str:
        """The choice as a line of the log."""
        if self.peak is None:
            return f"gradient checkpointing: {self.state}; the memory without it is not known"
        needed, limit = decimal_size(self.peak.total), decimal_size(self.limit)
        return (
            f"gradient checkpointing: {self.state}; without it about {needed} are needed,"
            f" and up to {limit} may be taken"
        )


def is_open(values: Arguments) -> bool:
    """Whether nobody has set it, and the training could have it."""
    return values.disable_gradient_checkpointing is None and adapters.allows_checkpointing(values)


def choose(values: Arguments, lengths: Lengths | None, held: int = 0) -> Choice:
    """Set gradient checkpointing by what fits; a person's own value stays.

    `lengths` are those of the rows; `held` are the bytes that this process has taken already, where
    it is the one that trains. It stays on where the memory is not estimated, and in a group, whose
    processes would see different amounts of free memory.
    """
    if not is_open(values):
        return Choice(values, automatic=False)
    with_it, without = (values.replace(disable_gradient_checkpointing=off) for off in (False, True))
    try:
        peak = estimate(without, lengths) if world_size() == 1 else None
    except TuneboardError:
        peak = None
    if peak is None:
        return Choice(with_it)
    free = least_free(free_memory(peak.device, held))
    limit = int(COMFORT * max(0, free - (UNCOUNTED if peak.unknown else 0)))
    return Choice(without if peak.total <= limit else with_it, peak=peak, limit=limit)


def weigh(values: Arguments, lengths: Lengths | None) -> tuple[Choice, Estimate]:
    """The choice for a training that is only considered, and what it needs then.

    Raises UsageError and ModelError as `estimate` does.
    """
    choice = choose(values, lengths)
    if choice.peak is not None and choice.state == "off":
        return choice, choice.peak
    return choice, estimate(choice.values, lengths)


def settle(values: Arguments, rows: Any, checkpoint: Path | None) -> Arguments:
    """The choice of a training that is about to load its model, said in its log.

    What the run has trained with up to its `checkpoint` stays.
    """
    if not is_open(values):
        return values
    chosen = position.choices(checkpoint).get(NAME) if checkpoint else None
    if isinstance(chosen, bool):
        logger.info("gradient checkpointing: %s, as before", "off" if chosen else "on")
        return values.replace(disable_gradient_checkpointing=chosen)
    choice = choose(values, longest_rows(values, rows), held_memory())
    logger.info(choice.describe())
    return choice.values


def held_memory() -> int:
    """Bytes of what trains, the main memory or the GPU's, that this process has taken already."""
    return 0 if device() == "cuda" else int(psutil.Process().memory_info().rss)


def longest_rows(values: Arguments, rows: Any) -> Lengths | None:
    """The lengths of the longest of prepared rows; None where their number is not known."""
    if not isinstance(rows, Dataset) or "length" not in rows.column_names:  # a stream
        return None
    lengths = read_lengths(rows)
    count = max(LONGEST, values.per_device_train_batch_size)
    places: Sequence[int] = np.argsort(lengths)[::-1][:count].tolist()
    counts = [count_tokens(row, WANTED[values.stage]) for row in rows.select(places)]
    table = np.asarray(counts, dtype=np.int32).reshape(-1, 2)
    return Lengths(table[:, 0], table[:, 1], len(table), 0, len(lengths), exact=False)
