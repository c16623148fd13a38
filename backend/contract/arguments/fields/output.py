"""Where a run writes, how often, and who else is told."""

from backend.contract.arguments.rows import Rows

BOTH = ("train", "eval")
STEPS = Rows("output", low=1, high=10**9)
OUTPUT = Rows("output")


ROWS = (
    OUTPUT.row("output_dir", "path", None, tasks=BOTH, widget="none"),
    OUTPUT.switch("overwrite_output_dir", tasks=BOTH),
    OUTPUT.row("resume_from_checkpoint", "path", None),
    STEPS.row("logging_steps", "int", 5, to="logging_steps"),
    STEPS.row("save_steps", "int", 100, to="save_steps"),
    STEPS.row("save_total_limit", "int", None, to="save_total_limit"),
    OUTPUT.row(
        "save_strategy", "choice", "steps", choices=("no", "steps", "epoch"), to="save_strategy"
    ),
    OUTPUT.switch("save_only_model", to="save_only_model"),
    OUTPUT.row("plot_loss", "bool", True),
    OUTPUT.row("report_to", "list", "none"),
    OUTPUT.count("ddp_timeout", 1800, 1, 10**10, widget="none", to="ddp_timeout"),
)
