"""What comes of a training: its evaluation, the files it writes, and services that record it."""

from backend.contract.arguments.field import FieldGroup, When

BOTH = ("train", "eval")
EVALUATION = FieldGroup("evaluation")


EVALUATION_FIELDS = (
    EVALUATION.count(
        *("per_device_eval_batch_size", 2, 1, 1024),
        tasks=BOTH,
        task_defaults=(("eval", None),),
        optional=True,
        to="per_device_eval_batch_size",
    ),
    EVALUATION.field("eval_strategy", "choice", None, choices=("no", "steps", "epoch")),
    EVALUATION.count("eval_steps", None, 1, 10**9),
    EVALUATION.switch("load_best_model_at_end"),
    EVALUATION.count("early_stopping_steps", None, 1, 10_000),
    EVALUATION.switch("compute_accuracy"),
    EVALUATION.switch("do_predict", tasks=("train", "eval")),
    EVALUATION.switch("predict_with_generate", tasks=BOTH, widget="none"),
)


STEPS = FieldGroup("output", low=1, high=10**9)
OUTPUT = FieldGroup("output")


OUTPUT_FIELDS = (
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


SWANLAB: When = (("use_swanlab", (True,)),)
PUSHED: When = (("push_to_hub", (True,)),)
TRACKING = FieldGroup("tracking")


TRACKING_FIELDS = (
    TRACKING.field("run_name", "text", None, widget="none", to="run_name"),
    TRACKING.field("project", "text", "huggingface", to="project"),
    TRACKING.field("trackio_space_id", "text", None, to="trackio_space_id"),
    TRACKING.field("notify_urls", "text", None, secret=True, to="NOTIFY_URLS"),
    TRACKING.switch("use_swanlab"),
    TRACKING.field("swanlab_project", "text", "llamafactory", SWANLAB),
    TRACKING.field("swanlab_run_name", "text", None, SWANLAB),
    TRACKING.field("swanlab_workspace", "text", None, SWANLAB),
    TRACKING.choice("swanlab_mode", ("cloud", "local"), SWANLAB),
    TRACKING.field("swanlab_logdir", "path", None, SWANLAB),
    TRACKING.field("swanlab_api_key", "text", None, SWANLAB, secret=True, to="SWANLAB_API_KEY"),
    TRACKING.field(
        "swanlab_lark_webhook_url",
        "text",
        None,
        SWANLAB,
        secret=True,
        to="SWANLAB_LARK_WEBHOOK_URL",
    ),
    TRACKING.field(
        "swanlab_lark_secret", "text", None, SWANLAB, secret=True, to="SWANLAB_LARK_SECRET"
    ),
    TRACKING.switch("push_to_hub"),
    TRACKING.field("hub_model_id", "text", None, PUSHED),
    TRACKING.field("hub_private_repo", "bool", None, to="hub_private_repo"),
)
