"""New pieces of vocabulary for a language: how many, and which text must keep its tokens."""

from backend.contract.arguments.field_group import FieldGroup

VOCAB = FieldGroup("vocab", tasks=("vocab",))


FIELDS = (
    VOCAB.count("new_pieces", 5000, 1, 1_000_000),
    VOCAB.count("fit_steps", 360, 0, 100_000),
    VOCAB.field("known_dataset", "list", None, widget="dataset"),
)
