"""Batches of rows to evaluate: of like length, the longest first, as many rows as memory takes.

A fixed number of rows is either too many long ones or too few short ones. A token of an answer
costs the same pass through all weights whether one row waits for it or many, so that more rows at
once answer sooner; what they cost is memory for the keys and values of each of their tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from backend.model import answer_cache

MAX_ROWS = 64
LOSS_TOKENS = 4096  # of a batch whose loss is computed: two rows of the default cutoff length
PROMPT_TOKENS = 8192  # of a batch that is answered, read in one pass


def batches(lengths: Sequence[int], rows_of: Callable[[int], int]) -> Iterator[list[int]]:
    """Yield indices in batches of like length, the longest first, so that what does not fit in
    memory fails at once. `rows_of` says how many rows of a length (in tokens) make a batch."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        end = start + rows_of(lengths[order[start]])
        yield order[start:end]
        start = end


def rows_for_loss(length: int) -> int:
    """How many rows of this length are computed at once for their loss."""
    return max(1, min(MAX_ROWS, LOSS_TOKENS // max(length, 1)))


def rows_for_answers(model: Any, new_tokens: int, beams: int = 1) -> Callable[[int], int]:
    """A function that says how many prompts of a length are answered at once with `new_tokens`."""
    room = answer_cache.room(model) // beams

    def rows_of(length: int) -> int:
        fitting = min(PROMPT_TOKENS // max(length, 1), room // (length + new_tokens))
        return max(1, min(MAX_ROWS, fitting))

    return rows_of
