"""Pack several texts into one sequence, so that no compute is spent on padding.

neat     whole examples, and position_ids that begin anew with each of them: from these transformers
         builds a block-diagonal mask, so that the examples do not see each other
packing  the same rows without position_ids: each text also sees those before it (faster attention)
blocks   texts one after the other, cut into blocks of the cutoff length (pre-training)
"""

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from datasets import Features
from datasets import List as Listed
from datasets import Value as Column

from backend.contract.arguments.typed import Arguments
from backend.data.tokens import IGNORED

IDS = Listed(Column("int32"))
FEATURES = Features({"input_ids": IDS, "labels": IDS, "length": Column("int32")})
NEAT = Features({**FEATURES, "position_ids": IDS})

Example = Mapping[str, Any]


def kind(values: Arguments) -> str:
    """The kind of packing of a run: "neat", "packing", "blocks" or "" (none)."""
    stage, packing = values.stage, values.packing
    if stage == "pt":
        return "" if packing is False else "blocks"
    if stage != "sft":
        return ""
    return "neat" if values.neat_packing else "packing" if packing else ""


def bins(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Group rows into bins of `capacity` tokens (best fit, longest first); returns their indices.

    Rows in a bin, and bins by their first row, are in the order of the data.
    """
    room: list[tuple[int, int]] = []  # (free tokens, bin), sorted
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect.bisect_left(room, (lengths[index], -1))
        if at < len(room):
            free, bin_ = room.pop(at)
            groups[bin_].append(index)
        else:
            free, bin_ = capacity, len(groups)
            groups.append([index])
        bisect.insort(room, (free - lengths[index], bin_))
    return sorted((sorted(each) for each in groups), key=lambda each: each[0])


def join(rows: Sequence[Example], neat: bool) -> dict[str, Any]:
    """Join several examples to one; no first token is learned from the text before it."""
    row: dict[str, Any] = {
        "input_ids": [token for each in rows for token in each["input_ids"]],
        "labels": [label for each in rows for label in (IGNORED, *each["labels"][1:])],
    }
    if neat:
        row["position_ids"] = [at for each in rows for at in range(len(each["input_ids"]))]
    return {**row, "length": len(row["input_ids"])}


def blocks(texts: Iterable[Sequence[int]], size: int) -> Iterator[dict[str, Any]]:
    """Yield blocks of `size` tokens from texts one after the other; the last may be shorter."""
    held: list[int] = []
    for ids in texts:
        held += ids
        whole = len(held) // size * size
        yield from (_block(held[at : at + size]) for at in range(0, whole, size))
        held = held[whole:]
    if len(held) > 1:  # one token alone has nothing before it that it could be learned from
        yield _block(held)


def _block(ids: list[int]) -> dict[str, Any]:
    return {"input_ids": ids, "labels": [IGNORED, *ids[1:]], "length": len(ids)}
