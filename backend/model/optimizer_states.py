"""Bytes that optimizers keep for the weights that learn, and need for a moment in their step."""

import math
from collections.abc import Sequence

from backend.contract.arguments.typed import Arguments
from backend.model.device import device

BLOCK_8BIT = 256  # numbers that share a scale in bitsandbytes and torchao
LEAST_8BIT = 4096  # smaller weights keep states of 32 bits
# Numbers that are kept for each number that learns, in the dtype of the weights.
STATES = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "stable_adamw", "paged_adamw_32bit"), 2),
    **dict.fromkeys(("schedule_free_adamw", "schedule_free_radam"), 2),
    **dict.fromkeys(("adagrad", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_32bit"), 1),
    **dict.fromkeys(("lion_32bit", "paged_lion_32bit", "schedule_free_sgd"), 1),
    **dict.fromkeys(("ademamix", "paged_ademamix_32bit", "grokadamw"), 3),
    **dict.fromkeys(("sgd", "lomo"), 0),
}
# The same in 8 bits, with a scale of 4 bytes for each block.
STATES_8BIT = {
    **dict.fromkeys(("adamw_torch_8bit", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit"), 2),
    **dict.fromkeys(("ademamix_8bit", "paged_ademamix_8bit"), 3),
    **dict.fromkeys(("lion_8bit", "paged_lion_8bit", "rmsprop_bnb_8bit"), 1),
}


Shapes = Sequence[Sequence[int]]


def size(values: Arguments, shapes: Shapes, itemsize: int) -> int:
    """Bytes of the states for weights of these shapes, whose numbers take `itemsize` bytes."""
    return sum(_of_weight(values, shape, itemsize) for shape in shapes)


def working_size(shapes: Shapes, itemsize: int) -> int:
    """Bytes that a step needs for a moment, for the denominator of Adam.

    On a CPU torch computes weight by weight, a root and a quotient; on a GPU it computes the roots
    of all weights at once ("foreach").
    """
    counts = [math.prod(shape) for shape in shapes]
    if device() == "cuda":
        return itemsize * sum(counts)
    return 2 * itemsize * max(counts, default=0)


def _of_weight(values: Arguments, shape: Sequence[int], itemsize: int) -> int:
    count = math.prod(shape)
    is_matrix = len(shape) == 2
    if values.use_muon and is_matrix:
        return count * itemsize
    if values.use_adam_mini:
        return count * itemsize
    for kind in ("galore", "apollo"):
        if getattr(values, f"use_{kind}") and is_matrix:
            rank = min(getattr(values, f"{kind}_rank"), *shape)
            return itemsize * (2 * rank * max(shape) + rank * min(shape))
    if values.optim in {"adafactor", "adalomo"}:
        return itemsize * (sum(shape) if is_matrix else count)
    if values.optim == "adamw_torch_4bit":
        return count + 2 * 4 * -(-count // 128)
    if values.optim in STATES_8BIT and count >= LEAST_8BIT:
        return STATES_8BIT[values.optim] * (count + 4 * -(-count // BLOCK_8BIT))
    return count * itemsize * STATES.get(values.optim, STATES_8BIT.get(values.optim, 2))
