"""Several rows in one, so that no compute is spent on padding.

`packing` and `neat_packing` are the same here: position_ids begin anew with each row, from which
transformers builds a block-diagonal mask, so packed rows never see each other.
"""

import bisect
from collections.abc import Sequence
from typing import Any

from backend.data.tokens import IGNORED


def bins(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of the rows that share a bin of `capacity` tokens: best fit, longest first.

    Rows in a bin, and bins by their first row, are in the order of the data.
    """
    room: list[tuple[int, int]] = []  # (free tokens, bin), sorted
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect.bisect_left(room, (lengths[index], -1))
        if at < len(room):
            free, bin_ = room.pop(at)
            found[bin_].append(index)
        else:
            free, bin_ = capacity, len(found)
            found.append([index])
        bisect.insort(room, (free - lengths[index], bin_))
    return sorted((sorted(each) for each in found), key=lambda each: each[0])


def packed(rows: Sequence[dict[str, Any]], capacity: int) -> dict[str, list[Any]]:
    """Columns input_ids, labels, position_ids, length of the packed rows."""
    out: dict[str, list[Any]] = {"input_ids": [], "labels": [], "position_ids": [], "length": []}
    for group in bins([row["length"] for row in rows], capacity):
        chosen = [rows[index] for index in group]
        out["input_ids"].append([token for row in chosen for token in row["input_ids"]])
        out["labels"].append([label for row in chosen for label in (IGNORED, *row["labels"][1:])])
        out["position_ids"].append([at for row in chosen for at in range(row["length"])])
        out["length"].append(sum(row["length"] for row in chosen))
    return out
