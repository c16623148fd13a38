"""New tokens: words that the model is to read and write as one."""

from backend.contract.arguments.rows import Rows

WORDS = Rows("model")


ROWS = (
    WORDS.row("add_tokens", "list", None),
    WORDS.row("add_special_tokens", "list", None),
    WORDS.row("new_special_tokens_config", "path", None),
)
