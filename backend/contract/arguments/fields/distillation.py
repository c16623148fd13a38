"""Distillation: the teacher, and the divergence between its distribution and the student's."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

DISTILLATION: When = (("stage", ("distillation",)),)
DISTILLED = FieldGroup("distillation", DISTILLATION)


FIELDS = (
    DISTILLED.field("teacher_model", "path", None, widget="model"),
    DISTILLED.field("teacher_model_adapters", "list", None, widget="adapter"),
    DISTILLED.field(
        "teacher_model_quantization_bit",
        "choice",
        None,
        choices=("4", "8"),
    ),
    DISTILLED.field("teacher_server", "text", None),
    DISTILLED.field("teacher_server_model", "text", None),
    DISTILLED.field(
        "teacher_api_key",
        "text",
        None,
        secret=True,
        to="TEACHER_API_KEY",
    ),
    DISTILLED.number("distillation_beta", 0.5, 0.0, 1.0),
    DISTILLED.number("lmbda", 0.5, 0.0, 1.0),
    DISTILLED.count("teacher_top_k", 20, 1, 1000),
)
