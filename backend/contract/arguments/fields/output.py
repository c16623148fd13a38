"""Where a run writes, how often, and who else is told."""

from backend.contract.arguments.field import Field

BOTH = ("train", "eval")


def _steps(name: str, default: int | None, **more: object) -> Field:
    given = {"group": "output", "low": 1, "high": 10**9, "to": name, **more}
    return Field(name=name, kind="int", default=default, optional=default is None, **given)  # type: ignore[arg-type]


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
    _steps("logging_steps", 5),
    _steps("save_steps", 100),
    _steps("save_total_limit", None),
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
