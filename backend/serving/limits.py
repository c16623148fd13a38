"""What a server allows its clients, by the arguments `api_max_...`."""

from dataclasses import dataclass

from backend.contract.arguments.typed import Arguments
from backend.serving.protocol import ApiError


@dataclass(frozen=True)
class Limits:
    """choices: answers of one request; waiting: requests that are answered or wait at once."""

    choices: int = 8
    waiting: int = 16

    @classmethod
    def of(cls, values: Arguments) -> "Limits":
        """The limits that the arguments set."""
        return cls(values.api_max_choices, values.api_max_waiting)

    def check_choices(self, count: int) -> None:
        """Raises ApiError (400) for more choices."""
        if count > self.choices:
            raise ApiError(400, "too_many_choices", "n", limit=self.choices)

    def check_waiting(self, count: int) -> None:
        """Raises ApiError (429) where so many requests leave no place for one more."""
        if count >= self.waiting:
            raise ApiError(429, "too_many_waiting", limit=self.waiting)


STANDARD = Limits()
