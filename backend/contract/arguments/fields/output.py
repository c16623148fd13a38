"""Where a run writes its results, how often it saves and logs, and to which trackers."""

from backend.contract.arguments.field_group import FieldGroup

BOTH = ("train", "eval")
STEPS = FieldGroup("output", low=1, high=10**9)
OUTPUT = FieldGroup("output")


FIELDS = (
    OUTPUT.field("output_dir", "path", None, tasks=BOTH, widget="none"),
    OUTPUT.switch("overwrite_output_dir", tasks=BOTH),
    OUTPUT.field("resume_from_checkpoint", "path", None),
    STEPS.field("logging_steps", "int", 5, to="logging_steps"),
    STEPS.field("save_steps", "int", 100, to="save_steps"),
    STEPS.field("save_total_limit", "int", None, to="save_total_limit"),
    OUTPUT.field(
        "save_strategy", "choice", "steps", choices=("no", "steps", "epoch"), to="save_strategy"
    ),
    OUTPUT.switch("save_only_model", to="save_only_model"),
    OUTPUT.field("plot_loss", "bool", True),
    OUTPUT.field("report_to", "list", "none"),
    OUTPUT.count("ddp_timeout", 1800, 1, 10**10, widget="none", to="ddp_timeout"),
)
