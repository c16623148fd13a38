"""The table of arguments: every row, one file a group. Names and defaults are LLaMA-Factory's."""

from backend.contract.field import Field
from backend.contract.fields import (
    data,
    evaluation,
    export,
    freeze,
    generation,
    lora,
    model,
    optimizer,
    output,
    quantization,
    server,
    training,
)
from backend.contract.fields.later import LATER as LATER

_GROUPS = (
    model,
    quantization,
    data,
    training,
    optimizer,
    lora,
    freeze,
    evaluation,
    output,
    generation,
    export,
    server,
)

FIELDS: dict[str, Field] = {row.name: row for group in _GROUPS for row in group.ROWS}

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in FIELDS.values()))

# Older or other spellings of the same argument.
ALIASES = {
    "quantization_bits": "quantization_bit",
    "learning-rate": "learning_rate",
    "token": "hf_hub_token",
}
