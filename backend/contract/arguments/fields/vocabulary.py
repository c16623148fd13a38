"""New tokens: words that the model reads and writes as one token each."""

from backend.contract.arguments.field_group import FieldGroup

WORDS = FieldGroup("model")


FIELDS = (
    WORDS.field("add_tokens", "list", None),
    WORDS.field("add_special_tokens", "list", None),
    WORDS.field("new_special_tokens_config", "path", None),
)
