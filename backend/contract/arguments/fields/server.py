"""The OpenAI-compatible server."""

from backend.contract.arguments.field import Field

API = ("api",)

ROWS = (
    Field(name="host", kind="text", default="127.0.0.1", group="server", tasks=API, widget="none"),
    Field(
        name="port",
        kind="int",
        default=8000,
        group="server",
        low=0,
        high=65_535,
        tasks=API,
        widget="none",
    ),
    Field(
        name="api_model_name",
        kind="text",
        default=None,
        group="server",
        tasks=API,
        optional=True,
        widget="none",
    ),
    Field(
        name="api_key",
        kind="text",
        default=None,
        group="server",
        tasks=API,
        optional=True,
        secret=True,
        widget="none",
        to="API_KEY",
    ),
)
