"""Arguments from which a small data set is learned: the defaults are made for thousands of rows.

Measured with the starter model and rows of the identity kind, see docs/estimates.md: 40 rows are 9
steps with the defaults, after which nothing was learned.
"""

import math
from collections.abc import Collection
from typing import Any

from backend.contract.advice.model_kind import kind_of
from backend.contract.advice.recommended import recommend
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments

SMALL = 1000  # rows from which on the defaults make enough steps
ROWS_OF_STEP = ((250, 4), (SMALL, 8))  # up to so many rows: rows of a step
STEPS = 50
MOST_EPOCHS = 10
RATE = 2e-4  # of LoRA, which takes about ten times that of all weights
FOLLOWING: tuple[ArgumentName, ...] = (
    "learning_rate",
    "num_train_epochs",
    "gradient_accumulation_steps",
)


def suggest(
    values: Arguments, rows: int, devices: int, own: Collection[str] = ()
) -> dict[ArgumentName, Any]:
    """New values for those of FOLLOWING that stand at their defaults; none where those suit the
    rows.

    own  arguments that somebody has set, be it to their defaults
    """
    if values.stage != "sft" or values.max_steps or not 0 < rows < SMALL:
        return {}
    fixed = {name for name in FOLLOWING if name in own or not _is_default(values, name)}
    batch = values.per_device_train_batch_size * devices
    accumulation = values.gradient_accumulation_steps
    if "gradient_accumulation_steps" not in fixed:
        wanted = next(size for limit, size in ROWS_OF_STEP if rows <= limit)
        accumulation = min(accumulation, max(1, wanted // batch))
    steps = math.ceil(rows / (batch * accumulation))
    epochs = max(values.num_train_epochs, float(min(MOST_EPOCHS, math.ceil(STEPS / steps))))
    suggested: dict[ArgumentName, Any] = {
        "learning_rate": _suggest_rate(values),
        "num_train_epochs": epochs,
        "gradient_accumulation_steps": accumulation,
    }
    return {
        name: value
        for name, value in suggested.items()
        if name not in fixed and value != values[name]
    }


def _suggest_rate(values: Arguments) -> float:
    """RATE for LoRA, but no more than the table recommends for such a model; else the rate as it
    is."""
    if values.finetuning_type != "lora":
        return values.learning_rate
    kind = kind_of(values.model_name_or_path)
    row = recommend("learning_rate", kind, values.stage, values.finetuning_type)
    rate = min(RATE, float(str(row.value))) if row else RATE
    return max(values.learning_rate, rate)


def _is_default(values: Arguments, name: ArgumentName) -> bool:
    return bool(values[name] == FIELDS[name].default_in("train"))
