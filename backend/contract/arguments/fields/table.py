"""Every field of the table of arguments, by subject."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import (
    data,
    methods,
    model,
    results,
    serving,
    stages,
    training,
)

_GROUPS: tuple[tuple[Field, ...], ...] = (
    model.MODEL_FIELDS,
    model.VOCABULARY_FIELDS,
    model.QUANTIZATION_FIELDS,
    data.FIELDS,
    training.TRAINING_FIELDS,
    training.OPTIMIZER_FIELDS,
    training.SPEED_FIELDS,
    methods.LORA_FIELDS,
    methods.PEFT_FIELDS,
    methods.FREEZE_FIELDS,
    results.EVALUATION_FIELDS,
    results.OUTPUT_FIELDS,
    results.TRACKING_FIELDS,
    training.TRAINER_FIELDS,
    serving.GENERATION_FIELDS,
    stages.PREFERENCE_FIELDS,
    stages.REINFORCEMENT_FIELDS,
    stages.GRPO_FIELDS,
    stages.DISTILLATION_FIELDS,
    serving.EXPORT_FIELDS,
    model.PIECES_FIELDS,
    serving.SERVER_FIELDS,
    serving.ENGINES_FIELDS,
)

FIELDS: dict[str, Field] = {field.name: field for group in _GROUPS for field in group}

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(field.group for field in FIELDS.values()))
