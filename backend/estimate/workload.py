"""The largest batch of a training: how many rows, of how many tokens, and how many are learned."""

from dataclasses import dataclass

import numpy as np

from backend.contract.arguments.fields.stages import DRAWING, GROUPED, PAIRED
from backend.contract.arguments.typed import Arguments
from backend.data import packing
from backend.data.lengths import Lengths


@dataclass(frozen=True)
class Workload:
    """A batch as the model sees it.

    rows     sequences that pass through the model at once
    length   tokens of each, with padding
    learned  tokens of the whole batch whose logits are computed (0: none, as in a reward model)
    masked   whether an attention mask is in memory: rows are padded, or texts in a row kept apart
    answer   tokens of each row that are drawn before the step (0 where none are)
    """

    rows: int
    length: int
    learned: int
    masked: bool
    answer: int = 0


def plan(values: Arguments, lengths: Lengths | None = None) -> Workload:
    """The largest batch that the arguments allow; with `lengths`, the largest of those rows.

    Without lengths, every row is taken for as long as cutoff_len lets it be, and every token of it
    for learned.
    """
    rows = values.per_device_train_batch_size * _copies(values)
    if values.stage in DRAWING:
        prompt = _longest(values, lengths)
        answer = values.max_new_tokens
        return Workload(rows, prompt + answer, rows * answer, rows > 1, answer)
    packed = packing.kind(values)
    if packed:
        length = values.cutoff_len
        share = 1.0 if packed == "blocks" else _learned_share(lengths)
        return Workload(rows, length, round(rows * (length - 1) * share), packed == "neat")
    length = _longest(values, lengths)
    learned = rows * (length - 1)
    if values.stage == "rm":
        learned = 0
    elif lengths is not None and values.stage != "pt" and not values.train_on_prompt:
        learned = min(learned, _copies(values) * _largest_answers(values, lengths))
    return Workload(rows, length, learned, rows > 1)


def _copies(values: Arguments) -> int:
    """How many sequences one row of the batch becomes."""
    if values.stage in GROUPED:
        return values.num_generations
    return 2 if values.stage in PAIRED else 1


def _longest(values: Arguments, lengths: Lengths | None) -> int:
    if lengths is None:
        return values.cutoff_len
    return min(values.cutoff_len, int(lengths.total.max()))


def _largest_answers(values: Arguments, lengths: Lengths) -> int:
    """Learned tokens of the batch of the longest rows."""
    longest = np.argsort(lengths.total)[::-1][: values.per_device_train_batch_size]
    return int(np.minimum(lengths.answer[longest], values.cutoff_len).sum())


def _learned_share(lengths: Lengths | None) -> float:
    if lengths is None:
        return 1.0
    return float(lengths.answer.sum() / max(1, int(lengths.total.sum())))
