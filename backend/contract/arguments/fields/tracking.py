"""Who else is told of a run: SwanLab and other trackers, and the hub that gets the result."""

from backend.contract.arguments.field import When
from backend.contract.arguments.rows import Rows

SWANLAB: When = (("use_swanlab", (True,)),)
PUSHED: When = (("push_to_hub", (True,)),)
TRACKING = Rows("tracking")


ROWS = (
    TRACKING.row("run_name", "text", None, widget="none", to="run_name"),
    TRACKING.row("project", "text", "huggingface", to="project"),
    TRACKING.row("trackio_space_id", "text", None, to="trackio_space_id"),
    TRACKING.switch("use_swanlab"),
    TRACKING.row("swanlab_project", "text", "llamafactory", SWANLAB),
    TRACKING.row("swanlab_run_name", "text", None, SWANLAB),
    TRACKING.row("swanlab_workspace", "text", None, SWANLAB),
    TRACKING.choice("swanlab_mode", ("cloud", "local"), SWANLAB),
    TRACKING.row("swanlab_logdir", "path", None, SWANLAB),
    TRACKING.row("swanlab_api_key", "text", None, SWANLAB, secret=True, to="SWANLAB_API_KEY"),
    TRACKING.row(
        "swanlab_lark_webhook_url",
        "text",
        None,
        SWANLAB,
        secret=True,
        to="SWANLAB_LARK_WEBHOOK_URL",
    ),
    TRACKING.row(
        "swanlab_lark_secret", "text", None, SWANLAB, secret=True, to="SWANLAB_LARK_SECRET"
    ),
    TRACKING.switch("push_to_hub"),
    TRACKING.row("hub_model_id", "text", None, PUSHED),
    TRACKING.row("hub_private_repo", "bool", None, to="hub_private_repo"),
)
