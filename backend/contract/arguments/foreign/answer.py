"""Arguments of other programs that have no field here, and the answer to each of their values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import NONE, Field, FieldError, Kind, Value, Values
from backend.contract.texts.problems import Params, Problem

DONE = "no_effect_done"  # the value asks for what is done anyway


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """One such argument. Each value is translated, ignored for a stated reason, or refused.

    row       the field that parses the value, so that a wrong one is refused as any other
    becomes   values that stand for values of our own fields
    idle      values that change nothing here; None where no value does
    because   code of the notice for idle values: why they change nothing
    instead   code of the problem for every other value: what to use
    owner     the argument that this one belongs to, where `because` or `instead` names it
    """

    row: Field
    becomes: Mapping[Value, Values] = field(default_factory=dict)
    idle: tuple[Value, ...] | None = ()
    because: str = DONE
    instead: str = ""
    owner: str = ""

    @property
    def name(self) -> str:
        """The argument's name."""
        return self.row.name

    @property
    def accepts_all(self) -> bool:
        """Whether every value of the right kind is taken."""
        return self.idle is None or bool(self.becomes and not self.instead)

    def answer(self, raw: object) -> tuple[Values, Problem | None]:
        """The values of our fields that `raw` stands for, and a notice where it does nothing.

        A value that asks for nothing (null, an empty text, list or mapping) gives neither. Raises
        FieldError where the value is wrong, or asks for something that Tuneboard does not have.
        """
        empty = raw.strip().lower() in NONE if isinstance(raw, str) else raw in (None, [], {})
        if empty:
            return {}, None
        if not self.becomes and self.idle == ():
            raise FieldError(self._problem(self.instead))
        value = self.row.parse(raw)
        if value in self.becomes:
            return self.becomes[value], None
        if self.idle is None or value in self.idle:
            return {}, self._problem(self.because, value=str(value).lower()[:80])
        raise FieldError(self._problem(self.instead))

    def _problem(self, code: str, **more: str) -> Problem:
        params: Params = {**more, **({"owner": self.owner} if self.owner else {})}
        notice = code == self.because
        return Problem(code=code, field=self.name, params=params, notice=notice)


def reader(name: str, kind: Kind, choices: tuple[str, ...] = ()) -> Field:
    """The field that parses the value of a foreign name: any number, or one of the choices."""
    numeric = kind in {"int", "float"}
    return Field(
        name=cast(ArgumentName, name),  # of another program
        kind=kind,
        default=None,
        group="",
        optional=True,
        choices=choices,
        low=-1e15 if numeric else None,
        high=1e15 if numeric else None,
    )


def ignore(because: str, kind: Kind, names: str, owner: str = "") -> list[Foreign]:
    """Names of which no value changes anything here; `because` is the code of the notice."""
    return [
        Foreign(row=reader(name, kind), idle=None, because=because, owner=owner)
        for name in names.split()
    ]


def accept_only(value: Value, instead: str, kind: Kind, names: str) -> list[Foreign]:
    """Names of which `value` asks for what is done anyway; every other value is refused."""
    return [
        Foreign(row=reader(name, kind), idle=(value,), instead=instead) for name in names.split()
    ]


def refuse(instead: str, names: str) -> list[Foreign]:
    """Names of which every value is refused."""
    return [Foreign(row=reader(name, "text"), instead=instead) for name in names.split()]


def translate(
    name: str, becomes: Mapping[Value, Values], instead: str = "", kind: Kind = "bool"
) -> Foreign:
    """A name whose values stand for values of our fields."""
    choices = tuple(map(str, becomes)) if kind == "choice" else ()
    return Foreign(row=reader(name, kind, choices), becomes=becomes, instead=instead)
