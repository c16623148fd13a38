"""The base of the typed Arguments: it knows which values were set and which are defaults."""

import dataclasses
import functools
from collections.abc import Hashable
from typing import Any, Self, Unpack, cast

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.changes import Changes
from backend.contract.arguments.field import Value, Values


class Bag:
    """Holds the names of the values that it was made from; `name in arguments` tests for one.

    An attribute whose value was not set is at its default. There is no repr, because some values
    are secrets.
    """

    _names: tuple[ArgumentName, ...] = ()

    @classmethod
    def of(cls, values: Values) -> Self:
        """Arguments with these values. Raises TypeError where a name is not that of an argument."""
        arguments = cls(**cast(dict[str, Any], values))
        object.__setattr__(arguments, "_names", tuple(values))
        return arguments

    @classmethod
    def from_known(cls, values: object) -> Self:
        """Arguments from a mapping of any origin, such as run.json. An unknown name, and a value
        that has not the type of its argument, are left out."""
        kinds = _kinds(cast(Hashable, cls))
        mapping = values if isinstance(values, dict) else {}
        known = {k: v for k, v in mapping.items() if k in kinds and _is_a(v, kinds[k])}
        return cls.of(cast(Values, known))

    def replace(self, **changes: Unpack[Changes]) -> Self:
        """A copy with some values changed."""
        return self.merge(cast(Values, changes))

    def merge(self, changes: Values) -> Self:
        """A copy with the values of a mapping changed. Raises TypeError where a name is no
        argument's."""
        arguments = dataclasses.replace(self, **cast(dict[str, Any], changes))  # type: ignore[type-var]
        names = tuple(dict.fromkeys([*self._names, *changes]))
        object.__setattr__(arguments, "_names", names)
        return arguments

    def as_mapping(self) -> dict[ArgumentName, Value]:
        """The values that were set, by name and in their order."""
        return {name: self[name] for name in self._names}

    def __contains__(self, name: ArgumentName) -> bool:
        """Whether the value of this name was set. A subcommand sets all that it takes."""
        return name in self._names

    def __getitem__(self, name: ArgumentName) -> Value:
        """The value of a name that a table holds. Where the name is known, read the attribute."""
        value: Value = getattr(self, name)
        return value


@functools.cache
def _kinds(cls: Hashable) -> dict[str, Any]:
    """The type of each argument, by its name."""
    return {each.name: each.type for each in dataclasses.fields(cast(Any, cls))}


def _is_a(value: object, kind: Any) -> bool:
    """Whether a value has the type of an argument. A whole number is a float, no bool is one."""
    if isinstance(value, bool):
        return kind in (bool, bool | None)
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(0.5, kind))
