"""From rows to batches: padding as little as can be, rows of like length together."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler, SequentialSampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from backend.contract.arguments.typed import Arguments
from backend.contract.runs.position import Cut
from backend.data.length_order import Array, group_by_length, read_lengths

IGNORED = -100
Batch = dict[str, Any]


class Collator:
    """Pads the rows of one batch to its longest.

    Gives input_ids and labels (int64, [rows, longest]), `tokens` (how many are no padding) and
    attention_mask; packed rows carry position_ids instead, from which the model keeps the packed
    texts apart.
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """One batch of these rows."""
        lengths = [len(row["input_ids"]) for row in rows]
        longest = max(lengths)
        batch: Batch = {
            "input_ids": _pad([row["input_ids"] for row in rows], longest, self.pad_id),
            "labels": _pad([_labels(row) for row in rows], longest, IGNORED),
            "tokens": sum(lengths),
        }
        if "position_ids" in rows[0]:
            batch["position_ids"] = _pad([row["position_ids"] for row in rows], longest, 0)
        else:
            batch["attention_mask"] = _pad([[1] * length for length in lengths], longest, 0)
        return batch


class LengthBatches(Sampler[int]):
    """Batches of rows of like length in a random order; the same for the same seed and epoch.

    The first epoch begins with the longest rows, so that too little memory shows at once.
    """

    def __init__(self, lengths: Sequence[int] | Array, batch: int, seed: int) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.batch = batch
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = group_by_length(self.lengths, self.batch, generator)
        if self.epoch == 0 and len(order) >= 2 * self.batch:
            longest = int(np.argmax(self.lengths[order])) // self.batch * self.batch
            first, other = slice(0, self.batch), slice(longest, longest + self.batch)
            if longest + self.batch <= len(order):
                order[first], order[other] = order[other].copy(), order[first].copy()
        return iter(order.tolist())


class LengthGrouped(LengthBatches):
    """The order of checkpoints of earlier versions, which the rest of their epoch keeps.

    transformers' own draws from the global random state, so that a resumed run would see another
    order than an uninterrupted one.
    """

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        lengths = self.lengths.tolist()
        return iter(get_length_grouped_indices(lengths, self.batch, generator=generator))


class Order(Protocol):
    """Numbers of rows in the order in which they come: a sampler whose length is known."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...


class Repeated(Sampler[int]):
    """An order in which each stretch of `size` rows comes `times` times; the last one is filled up.

    For stages that take several steps with what was made of the same rows. Each row comes `copies`
    times in a stretch, one after the other.
    """

    def __init__(self, order: Order, size: int, times: int, copies: int = 1) -> None:
        self.order = order
        self.size = size
        self.times = times
        self.copies = copies

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's order comes next."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        count = len(self.order)
        return math.ceil(count / self.size) * self.size * self.times * self.copies

    def __iter__(self) -> Iterator[int]:
        rows = list(self.order)
        wanted = math.ceil(len(rows) / self.size) * self.size
        filled = list(itertools.islice(itertools.cycle(rows), wanted))
        for start in range(0, wanted, self.size):
            for _ in range(self.times):
                for row in filled[start : start + self.size]:
                    yield from itertools.repeat(row, self.copies)


def _labels(row: dict[str, Any]) -> list[int]:
    """The labels; the first token of a packed text is not to be predicted from the text before."""
    if "position_ids" not in row:
        labels: list[int] = row["labels"]
        return labels
    pairs = zip(row["labels"], row["position_ids"], strict=True)
    return [label if position else IGNORED for label, position in pairs]


def _pad(rows: list[list[int]], longest: int, filler: int) -> torch.Tensor:
    """Rows of ids, filled up on the right, as an int64 tensor [rows, longest]."""
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


def name_order(values: Arguments, data: Any, cut: Cut) -> str:
    """How the arguments order the rows of an epoch: "random", "in order" or "lengths N". The
    rows of a whole step are of like length, so that a step is the same however it is cut.

    Those of KTO are never grouped: good answers are often longer than bad ones, and a step needs
    both.
    """
    if values.disable_shuffling:
        return "in order"
    grouped = values.group_by_length and values.stage != "kto"
    if grouped and "length" in data.column_names:
        return f"lengths {cut.batch * cut.accumulation}"
    return "random"


def make_order(name: str, data: Any, seed: int) -> Any:
    """The order with this name; a drawn one is the same for the same seed and epoch."""
    if name == "in order":
        return SequentialSampler(data)
    if name == "random":
        return SeedableRandomSampler(data, data_seed=seed)
    kind, size = name.split()
    grouped = LengthGrouped if kind == "grouped" else LengthBatches
    return grouped(read_lengths(data), int(size), seed)
