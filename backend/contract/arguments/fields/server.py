"""The OpenAI-compatible server."""

from backend.contract.arguments.rows import Rows

SERVER = Rows("server", tasks=("api",), widget="none")


ROWS = (
    SERVER.row("host", "text", "127.0.0.1"),
    SERVER.count("port", 8000, 0, 65_535),
    SERVER.row("api_model_name", "text", None),
    SERVER.row("api_key", "text", None, secret=True, to="API_KEY"),
)
