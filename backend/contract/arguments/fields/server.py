"""The OpenAI-compatible server."""

from backend.contract.arguments.field_group import FieldGroup

SERVER = FieldGroup("server", tasks=("api",), widget="none")


FIELDS = (
    SERVER.field("host", "text", "127.0.0.1"),
    SERVER.count("port", 8000, 0, 65_535),
    SERVER.field("api_model_name", "text", None),
    SERVER.field("api_key", "text", None, secret=True, to="API_KEY"),
)
