"""The table of arguments: every row, one file a group. Names and defaults are LLaMA-Factory's."""

from backend.contract.field import Field
from backend.contract.fields import (
    data,
    engines,
    evaluation,
    export,
    freeze,
    generation,
    grpo,
    lora,
    model,
    optimizer,
    output,
    peft,
    preference,
    quantization,
    reinforcement,
    server,
    speed,
    tracking,
    training,
    vocabulary,
)
from backend.contract.fields.later import LATER as LATER

_GROUPS = (
    model,
    vocabulary,
    quantization,
    data,
    training,
    optimizer,
    speed,
    lora,
    peft,
    freeze,
    evaluation,
    output,
    tracking,
    generation,
    preference,
    reinforcement,
    grpo,
    export,
    server,
    engines,
)

FIELDS: dict[str, Field] = {row.name: row for group in _GROUPS for row in group.ROWS}

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in FIELDS.values()))

# Older or other spellings of the same argument.
ALIASES = {
    "quantization_bits": "quantization_bit",
    "learning-rate": "learning_rate",
    "token": "hf_hub_token",
    "hub_token": "hf_hub_token",
}
