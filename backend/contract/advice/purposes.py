"""Presets by purpose: values for arguments, each with its reason (`purpose.why.<reason>`).

A purpose is here only if it trains the starter model to a better score on held-out rows of its own
than the defaults do in the same time: `python -m tests.presets`, see docs/presets.md.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backend.contract.advice.model_kind import ModelKind
from backend.contract.advice.recommended import SOURCES, recommend
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value

FROM_TABLE = "table"  # the reason of a value that the table of recommended values holds


@dataclass(frozen=True)
class Choice:
    """A value that a purpose sets, and the key of its reason; the table's where that is
    FROM_TABLE."""

    argument: ArgumentName
    reason: str = FROM_TABLE
    value: Value = None


RATE = Choice("learning_rate")
LORA = Choice("finetuning_type", "lora", "lora")
EXAMPLES = Choice("stage", "examples", "sft")

PURPOSES: dict[str, tuple[Choice, ...]] = {
    "recommended": (
        RATE,
        Choice("lora_rank"),
        Choice("lora_target"),
        Choice("template"),
        Choice("cutoff_len"),
        Choice("per_device_train_batch_size"),
        Choice("gradient_accumulation_steps"),
    ),
    "facts": (
        EXAMPLES,
        LORA,
        RATE,
        Choice("lora_rank", "room", 32),
        Choice("num_train_epochs", "repeat", 5.0),
        Choice("gradient_accumulation_steps", "many_steps", 2),
    ),
}


@dataclass(frozen=True)
class Advice:
    """A value for an argument: why, and the source by name and address if the table holds it."""

    argument: ArgumentName
    value: Value
    reason: str
    source: str = ""
    address: str = ""


def advise(
    choices: Sequence[Choice],
    kind: ModelKind,
    stage: str,
    method: str,
    fixed: Collection[str] = (),
) -> list[Advice]:
    """The values of a purpose for a model; `stage` and `method` are those that are set now.

    fixed  arguments that stay as they are: what the table holds is for the stage and method that
          come of it, and what it does not know for them is left out
    """
    chosen = []
    for choice in choices:
        if choice.reason != FROM_TABLE:
            chosen.append(Advice(choice.argument, choice.value, choice.reason))
            if choice.argument == "stage" and "stage" not in fixed:
                stage = str(choice.value)
            if choice.argument == "finetuning_type" and "finetuning_type" not in fixed:
                method = str(choice.value)
        elif row := recommend(choice.argument, kind, stage, method):
            source, address = SOURCES[row.source]
            reason = "measured" if row.source == "measured" else FROM_TABLE
            chosen.append(Advice(choice.argument, row.value, reason, source, address))
    return chosen
