"""Make the fields of one group of arguments, each in a line."""

from typing import Any

from backend.contract.arguments.field import Field, Kind, Value, When


class FieldGroup:
    """Makes fields of a group; `when` and `common` hold for each field that does not set its own.

    A field whose default is None is optional.
    """

    def __init__(self, group: str, when: When = (), **common: Any) -> None:
        self._common: dict[str, Any] = {"group": group, "when": when, **common}

    def field(
        self, name: str, kind: Kind, default: Value, when: When | None = None, **more: Any
    ) -> Field:
        """A field of any kind."""
        own = {} if when is None else {"when": when}
        content = {"optional": default is None, **self._common, **own, **more}
        return Field(name=name, kind=kind, default=default, **content)

    def count(
        self,
        name: str,
        default: int | None,
        low: int,
        high: int,
        when: When | None = None,
        **more: Any,
    ) -> Field:
        """A whole number from `low` to `high`."""
        return self.field(name, "int", default, when, low=low, high=high, **more)

    def number(
        self,
        name: str,
        default: float | None,
        low: float,
        high: float,
        when: When | None = None,
        **more: Any,
    ) -> Field:
        """A number from `low` to `high`."""
        return self.field(name, "float", default, when, low=low, high=high, **more)

    def switch(self, name: str, when: When | None = None, **more: Any) -> Field:
        """A switch that is off by default."""
        return self.field(name, "bool", False, when, **more)

    def choice(
        self, name: str, choices: tuple[str, ...], when: When | None = None, **more: Any
    ) -> Field:
        """A choice whose default is the first."""
        return self.field(name, "choice", choices[0], when, choices=choices, **more)
