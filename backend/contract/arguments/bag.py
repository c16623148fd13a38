"""The base of the typed Arguments: it knows which values were set and which are defaults."""

import dataclasses
from typing import Self

from backend.contract.arguments.field import Value, Values


class Bag:
    """Holds the names of the values that it was made from; `name in arguments` tests for one.

    An attribute whose value was not set is at its default. There is no repr, because some values
    are secrets.
    """

    _names: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Values) -> Self:
        """Arguments with these values. Raises TypeError where a name is not that of an argument."""
        arguments = cls(**values)
        object.__setattr__(arguments, "_names", tuple(values))
        return arguments

    @classmethod
    def from_known(cls, values: object) -> Self:
        """Arguments from a mapping of any origin. Names that are unknown here are left out."""
        names = {attribute.name for attribute in dataclasses.fields(cls)}  # type: ignore[arg-type]
        mapping = values if isinstance(values, dict) else {}
        return cls.of({name: value for name, value in mapping.items() if name in names})

    def replace(self, **changes: Value) -> Self:
        """A copy with some values changed. Raises TypeError where a name is no argument's."""
        arguments = dataclasses.replace(self, **changes)  # type: ignore[type-var]
        names = tuple(dict.fromkeys([*self._names, *changes]))
        object.__setattr__(arguments, "_names", names)
        return arguments

    def as_mapping(self) -> dict[str, Value]:
        """The values that were set, by name and in their order."""
        return {name: getattr(self, name) for name in self._names}

    def __contains__(self, name: str) -> bool:
        """Whether the value of this name was set. A subcommand sets all that it takes."""
        return name in self._names
