"""The lengths of tokenized rows, and a random order in which a batch has rows of like length."""

from typing import Any

import numpy as np

JITTER = 0.01  # share of its length by which a row may stand before or behind its place

Array = np.ndarray[Any, np.dtype[np.int64]]


def read_lengths(rows: Any) -> Array:
    """Read the column "length" of a datasets.Dataset, int64 [rows], at once and not row by row."""
    column = rows.select_columns(["length"]).with_format("numpy")[:]["length"]
    return np.asarray(column, dtype=np.int64)


def group_by_length(lengths: Array, batch: int, generator: np.random.Generator) -> Array:
    """Numbers of all rows, those of each batch of like length and the batches in a drawn order.

    All rows are sorted by length, those of equal length in a drawn order, and cut into batches; so
    a row is in every step of an epoch as likely as in any other, and padding is as little as the
    rows allow. Rows that fill no batch come last, from a drawn place.
    """
    count = len(lengths)
    jitter = 1 + JITTER * generator.uniform(-1, 1, count)
    order = np.lexsort((generator.random(count), lengths * jitter))
    whole, rest = divmod(count, batch)
    begin = batch * int(generator.integers(whole + 1))
    last = order[begin : begin + rest]
    batches = np.delete(order, slice(begin, begin + rest)).reshape(whole, batch)
    return np.concatenate([batches[generator.permutation(whole)].ravel(), last])
