"""Whether a training fits, and arguments that need less memory after one ran out of it."""

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields.methods import QUANTIZABLE
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Params, Problem

SHORTEST = 128  # tokens; a shorter cutoff hardly saves memory
SPARE = 0.9  # of what is free: estimates are not exact, so that more than this is a close fit


def judge(needed: int, free: int) -> str:
    """Whether so many bytes fit: "fits", "tight" or "exceeds"."""
    if needed > free:
        return "exceeds"
    return "fits" if needed <= SPARE * free else "tight"


def reduce(values: Arguments) -> dict[ArgumentName, Value]:
    """The arguments to change; {} where nothing is left.

    Half the batch with twice the accumulation, so that a step stays the same, and gradient
    checkpointing. At batch size 1, half the cutoff length; where that is at its shortest, 4 bits
    for the weights below an adapter.
    """
    changes: dict[ArgumentName, Value] = {}
    if values.per_device_train_batch_size > 1:
        changes["per_device_train_batch_size"] = values.per_device_train_batch_size // 2
        changes["gradient_accumulation_steps"] = values.gradient_accumulation_steps * 2
    elif values.cutoff_len >= 2 * SHORTEST:
        changes["cutoff_len"] = values.cutoff_len // 2
    if values.disable_gradient_checkpointing is not False:
        changes["disable_gradient_checkpointing"] = False
    if not changes and can_quantize(values):
        changes["quantization_bit"] = "4"
    return changes


def can_quantize(values: Arguments) -> bool:
    """Whether the weights below an adapter are whole and could be kept with 4 bits."""
    is_possible = values.finetuning_type in QUANTIZABLE and not values.quantization_bit
    return is_possible and not values.pissa_init and not values.create_new_adapter


def explain(values: Arguments) -> Problem:
    """The problem of a training that ran out of memory, with what to try."""
    changes = reduce(values)
    params: Params = {
        "batch": values.per_device_train_batch_size,
        "cutoff": values.cutoff_len,
        "changes": ", ".join(f"{name} {str(value).lower()}" for name, value in changes.items()),
    }
    if {*changes} <= {"quantization_bit"}:
        return Problem(code="out_of_memory_smallest", field="cutoff_len", params=params)
    return Problem(code="out_of_memory_training", field=next(iter(changes)), params=params)
