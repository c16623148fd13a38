"""What Arguments is beside its attributes: a mapping of the values that it was made from."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Self

from backend.contract.field import Value


class Bag(Mapping[str, Value]):
    """Names and values in the order in which they were given; what was not given is not in it.

    It has no text of its own (repr): some values are secrets.
    """

    _given: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Self:
        """Arguments with these values. Raises TypeError where a name is no argument's."""
        made = cls(**values)
        object.__setattr__(made, "_given", tuple(values))
        return made

    def replace(self, **changes: Value) -> Self:
        """The same but for some values. Raises TypeError where a name is no argument's."""
        made = dataclasses.replace(self, **changes)  # type: ignore[type-var]
        object.__setattr__(made, "_given", tuple(dict.fromkeys([*self._given, *changes])))
        return made

    def __getitem__(self, name: str) -> Value:
        if name not in self._given:
            raise KeyError(name)
        value: Value = getattr(self, name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)
