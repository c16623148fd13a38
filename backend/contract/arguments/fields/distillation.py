"""Distillation: a teacher, and which of its distributions a student is brought to."""

from backend.contract.arguments.field import When
from backend.contract.arguments.rows import Rows

DISTILLATION: When = (("stage", ("distillation",)),)
DISTILLED = Rows("distillation", DISTILLATION)


ROWS = (
    DISTILLED.row("teacher_model", "path", None, widget="model"),
    DISTILLED.row("teacher_model_adapters", "list", None, widget="adapter"),
    DISTILLED.row(
        "teacher_model_quantization_bit",
        "choice",
        None,
        choices=("4", "8"),
    ),
    DISTILLED.row("teacher_server", "text", None),
    DISTILLED.row("teacher_server_model", "text", None),
    DISTILLED.row(
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
