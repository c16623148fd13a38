"""Who else is told of a run: SwanLab and other trackers, and the hub that gets the result."""

from backend.contract.arguments.field import Field, When

SWANLAB: When = (("use_swanlab", (True,)),)
PUSHED: When = (("push_to_hub", (True,)),)


def _text(name: str, default: str | None, when: When = (), *, to: str = "") -> Field:
    secret = to.isupper()
    return Field(
        name=name,
        kind="text",
        default=default,
        group="tracking",
        when=when,
        optional=default is None,
        secret=secret,
        to=to,
    )


ROWS = (
    Field(  # the page's own box for the run's name stands in for it
        name="run_name",
        kind="text",
        default=None,
        group="tracking",
        optional=True,
        widget="none",
        to="run_name",
    ),
    _text("project", "huggingface", to="project"),
    _text("trackio_space_id", None, to="trackio_space_id"),
    Field(name="use_swanlab", kind="bool", default=False, group="tracking"),
    _text("swanlab_project", "llamafactory", SWANLAB),
    _text("swanlab_run_name", None, SWANLAB),
    _text("swanlab_workspace", None, SWANLAB),
    Field(
        name="swanlab_mode",
        kind="choice",
        default="cloud",
        group="tracking",
        choices=("cloud", "local"),
        when=SWANLAB,
    ),
    Field(
        name="swanlab_logdir",
        kind="path",
        default=None,
        group="tracking",
        when=SWANLAB,
        optional=True,
    ),
    _text("swanlab_api_key", None, SWANLAB, to="SWANLAB_API_KEY"),
    _text("swanlab_lark_webhook_url", None, SWANLAB, to="SWANLAB_LARK_WEBHOOK_URL"),
    _text("swanlab_lark_secret", None, SWANLAB, to="SWANLAB_LARK_SECRET"),
    Field(name="push_to_hub", kind="bool", default=False, group="tracking"),
    _text("hub_model_id", None, PUSHED),
    Field(
        name="hub_private_repo",
        kind="bool",
        default=None,
        group="tracking",
        optional=True,
        to="hub_private_repo",
    ),
)
