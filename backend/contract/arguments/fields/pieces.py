"""New pieces for a language that the vocabulary lacks: how many, and what must stay as it is."""

from backend.contract.arguments.field import Field

ROWS = (
    Field(
        name="new_pieces",
        kind="int",
        default=5000,
        group="vocab",
        low=1,
        high=1_000_000,
        tasks=("vocab",),
    ),
    Field(
        name="fit_steps",
        kind="int",
        default=200,
        group="vocab",
        low=0,
        high=100_000,
        tasks=("vocab",),
    ),
    Field(
        name="known_dataset",
        kind="list",
        default=None,
        group="vocab",
        tasks=("vocab",),
        optional=True,
        widget="dataset",
    ),
)
