"""Tracking: SwanLab and other services that record a run, and the hub that gets the result."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

SWANLAB: When = (("use_swanlab", (True,)),)
PUSHED: When = (("push_to_hub", (True,)),)
TRACKING = FieldGroup("tracking")


FIELDS = (
    TRACKING.field("run_name", "text", None, widget="none", to="run_name"),
    TRACKING.field("project", "text", "huggingface", to="project"),
    TRACKING.field("trackio_space_id", "text", None, to="trackio_space_id"),
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
