"""The message to Lark."""


class LarkCallback:
    """Keeps what it is given."""

    def __init__(self, webhook: str, secret: str | None) -> None:
        self.webhook = webhook
        self.secret = secret
