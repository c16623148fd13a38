"""New tokens: words that the model is to read and write as one."""

from backend.contract.arguments.field import Field


def _row(name: str, kind: str) -> Field:
    given: dict[str, object] = {"group": "model", "optional": True}
    return Field(name=name, kind=kind, default=None, **given)  # type: ignore[arg-type]


ROWS = (
    _row("add_tokens", "list"),
    _row("add_special_tokens", "list"),
    _row("new_special_tokens_config", "path"),
)
