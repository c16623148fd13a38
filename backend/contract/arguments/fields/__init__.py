"""The table of arguments: every field, one file a group. Names and defaults are LLaMA-Factory's."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import (
    data,
    distillation,
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
    pieces,
    preference,
    quantization,
    reinforcement,
    server,
    speed,
    tracking,
    trainer,
    training,
    vocabulary,
)

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
    trainer,
    generation,
    preference,
    reinforcement,
    grpo,
    distillation,
    export,
    pieces,
    server,
    engines,
)

FIELDS: dict[str, Field] = {field.name: field for group in _GROUPS for field in group.FIELDS}

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(field.group for field in FIELDS.values()))
