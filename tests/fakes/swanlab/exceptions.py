"""The error that swanlab raises."""


class AuthenticationError(Exception):
    """A key that the service refuses."""
