"""Where a run writes, how often, and who else is told."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.rows import Rows

BOTH = ("train", "eval")
STEPS = Rows("output", low=1, high=10**9)


ROWS = (
    Field(
        name="output_dir",
        kind="path",
        default=None,
        group="output",
        tasks=BOTH,
        optional=True,
        widget="none",
    ),
    Field(
        name="overwrite_output_dir",
        kind="bool",
        default=False,
        group="output",
        tasks=BOTH,
    ),
    Field(
        name="resume_from_checkpoint",
        kind="path",
        default=None,
        group="output",
        optional=True,
    ),
    STEPS.row("logging_steps", "int", 5, to="logging_steps"),
    STEPS.row("save_steps", "int", 100, to="save_steps"),
    STEPS.row("save_total_limit", "int", None, to="save_total_limit"),
    Field(
        name="save_strategy",
        kind="choice",
        default="steps",
        group="output",
        choices=("no", "steps", "epoch"),
        to="save_strategy",
    ),
    Field(
        name="save_only_model",
        kind="bool",
        default=False,
        group="output",
        to="save_only_model",
    ),
    Field(name="plot_loss", kind="bool", default=True, group="output"),
    Field(
        name="report_to",
        kind="list",
        default="none",
        group="output",
    ),
    Field(
        name="ddp_timeout",
        kind="int",
        default=1800,
        group="output",
        low=1,
        high=10**10,
        widget="none",
        to="ddp_timeout",
    ),
)
