"""New pieces for a language that the vocabulary lacks: how many, and what must stay as it is."""

from backend.contract.arguments.rows import Rows

VOCAB = Rows("vocab", tasks=("vocab",))


ROWS = (
    VOCAB.count("new_pieces", 5000, 1, 1_000_000),
    VOCAB.count("fit_steps", 240, 0, 100_000),
    VOCAB.row("known_dataset", "list", None, widget="dataset"),
)
