"""Distillation: a teacher, and which of its distributions a student is brought to."""

from backend.contract.arguments.field import Field, Value, When

DISTILLATION: When = (("stage", ("distillation",)),)


def _row(name: str, kind: str, default: Value, **more: object) -> Field:
    given: dict[str, object] = {"group": "distillation", "when": DISTILLATION, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


ROWS = (
    _row("teacher_model", "path", None, optional=True, widget="model"),
    _row("teacher_model_adapters", "list", None, optional=True, widget="adapter"),
    _row(
        "teacher_model_quantization_bit",
        "choice",
        None,
        choices=("4", "8"),
        optional=True,
    ),
    _row("teacher_server", "text", None, optional=True),
    _row("teacher_server_model", "text", None, optional=True),
    _row(
        "teacher_api_key",
        "text",
        None,
        optional=True,
        secret=True,
        to="TEACHER_API_KEY",
    ),
    _row("distillation_beta", "float", 0.5, low=0.0, high=1.0),
    _row("lmbda", "float", 0.5, low=0.0, high=1.0),
    _row("teacher_top_k", "int", 20, low=1, high=1000),
)
