"""One argument of the table, and the maker of a group of them. Widgets, checks, command line,
YAML and help all derive from it.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.texts.problems import Problem

Value = bool | int | float | str | None
Values = Mapping[ArgumentName, Value]
Kind = Literal["bool", "int", "float", "text", "choice", "list", "numbers", "path", "json"]
When = tuple[tuple[ArgumentName, tuple[Value, ...]], ...]

TRUE = {"true", "1", "yes", "on"}
FALSE = {"false", "0", "no", "off"}
NONE = {"", "none", "null"}
NOTHING = "none"  # the default of a list that says "nothing" by this word
MAX_TEXT = 20_000


class FieldError(ValueError):
    """A value that its field refuses; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One argument. Its texts are `field.<name>.label` and `field.<name>.help` in locales.

    kind      bool, int, float, text, choice, list (names joined by commas), numbers (likewise),
              path, json
    low/high  the closed range of a number (of each number)
    choices   what a choice, or each name of a list, may be, in small or capital letters; () where
              a list takes any name
    when      shown, written and checked only where every (argument, values) pair holds
    task_when further pairs that hold for one subcommand only, by its name
    task_defaults  the default of single subcommands where it is another one
    tasks     the subcommands that take it: train, eval, chat, api, export
    optional  None is a value (and the way to say "not set")
    unset     a number that says "not set", too
    secret    travels in the child's environment under `to`, never in argv or files
    widget    "" for the kind's usual one; "radio", "area", "none" (not on the page), or what is
              offered: "dataset", "template", "model", "adapter", "reward_model"
    to        the library argument (or environment variable) that receives the value
    """

    name: ArgumentName
    kind: Kind
    default: Value
    group: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    when: When = ()
    task_when: tuple[tuple[str, When], ...] = ()
    task_defaults: tuple[tuple[str, Value], ...] = ()
    tasks: tuple[str, ...] = ("train",)
    optional: bool = False
    unset: int | None = None
    secret: bool = False
    widget: str = ""
    to: str = ""

    def parse(self, raw: object) -> Value:
        """The value that `raw` (text from a command line or box, or a YAML value) stands for.

        Raises FieldError with the reason: wrong type, out of range, not one of the choices.
        """
        if isinstance(raw, str) and self.kind != "json":
            raw = raw.strip()
        if raw is False and self.default == NOTHING:
            raw = None
        if raw is None or (isinstance(raw, str) and self.optional and raw.lower() in NONE):
            return self._nothing()
        return self._PARSERS[self.kind](self, raw)

    def conditions(self, task: str) -> When:
        """The conditions under which this argument applies in a subcommand."""
        return self.when + dict(self.task_when).get(task, ())

    def default_in(self, task: str) -> Value:
        """The default in a subcommand."""
        return dict(self.task_defaults).get(task, self.default)

    def active(self, values: Values, task: str) -> bool:
        """Whether this argument applies in a subcommand, given the values of the others."""
        return all(values.get(name) in allowed for name, allowed in self.conditions(task))

    def _nothing(self) -> Value:
        """The value for "nothing": None or NOTHING. Raises FieldError where the field has none."""
        if self.optional:
            return None
        if self.default == NOTHING:
            return NOTHING
        raise self._error("value_missing")

    def _error(self, code: str, **params: str | int | float) -> FieldError:
        return FieldError(Problem(code=code, field=self.name, params=params))

    def _bool(self, raw: object) -> Value:
        if isinstance(raw, bool):
            return raw
        text = (_plain(raw) or "").lower()
        if text in TRUE | FALSE:
            return text in TRUE
        raise self._error("not_bool", value=_quote(raw))

    def _int(self, raw: object) -> Value:
        if isinstance(raw, str):
            try:
                raw = int(raw)
            except ValueError:
                raise self._error("not_int", value=_quote(raw)) from None
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise self._error("not_int", value=_quote(raw))
        return self._check_range(raw)

    def _float(self, raw: object) -> Value:
        if isinstance(raw, str):
            try:
                raw = float(raw)
            except ValueError:
                raise self._error("not_number", value=_quote(raw)) from None
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise self._error("not_number", value=_quote(raw))
        if abs(raw) > 1e300 or not math.isfinite(raw):
            raise self._error("not_finite", value=_quote(raw))
        number = self._check_range(raw)
        return None if number is None else float(number) + 0.0  # -0.0 becomes 0.0

    def _check_range(self, number: float) -> float | None:
        if self.unset is not None and number == self.unset:
            return None
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= number <= high:
            bounds = {"low": f"{low:.10g}", "high": f"{high:.10g}"}
            raise self._error("out_of_range", value=_quote(number), **bounds)
        return number

    def _text(self, raw: object) -> Value:
        if isinstance(raw, bool | int | float):
            raw = _plain(raw)
        if not isinstance(raw, str):
            raise self._error("not_text", value=_quote(raw))
        if "\0" in raw or any("\ud800" <= mark <= "\udfff" for mark in raw):
            raise self._error("bad_character")
        if len(raw) > MAX_TEXT:
            raise self._error("too_long", limit=MAX_TEXT)
        if not raw and self.optional:
            return None
        return raw

    def _json(self, raw: object) -> Value:
        """A JSON object as text; a mapping of a YAML file is one, too."""
        try:
            content = json.loads(raw) if isinstance(raw, str) and raw.strip() else raw
            text = json.dumps(content) if isinstance(content, dict) else None
        except (ValueError, TypeError, RecursionError):
            text = None
        if not raw and self.optional:
            return None
        if text is None:
            raise self._error("not_json_object", value=_quote(raw))
        return self._text(text)

    def _choice(self, raw: object) -> Value:
        text = "no" if raw is False else _plain(raw)  # YAML reads a bare no as false
        choice = {choice.lower(): choice for choice in self.choices}.get((text or "").lower())
        if choice is None:
            raise self._error("not_choice", value=_quote(raw), choices=", ".join(self.choices))
        return choice

    def _list(self, raw: object) -> Value:
        parts = raw if isinstance(raw, list | tuple) else str(self._text(raw) or "").split(",")
        names = [str(self._text(part) or "").strip() for part in parts]
        for name in names:
            if "," in name:  # joined by commas, it would read as two names
                raise self._error("comma_in_name", value=_quote(name))
        joined = self._text(",".join(name for name in names if name))
        if not joined:
            return self._nothing()
        if str(joined).lower() in NONE and (self.optional or self.default == NOTHING):
            return self._nothing()
        if self.choices:
            return ",".join(str(self._choice(name)) for name in str(joined).split(","))
        return joined

    def _numbers(self, raw: object) -> Value:
        joined = self._list(raw)
        for part in str(joined).split(",") if joined is not None else []:
            self._float(part)
        return joined

    _PARSERS: ClassVar[dict[str, Callable[["Field", object], Value]]] = {
        "bool": _bool,
        "int": _int,
        "float": _float,
        "text": _text,
        "path": _text,
        "json": _json,
        "choice": _choice,
        "list": _list,
        "numbers": _numbers,
    }


def _plain(raw: object) -> str | None:
    """A value as text; None for an integer with more digits than Python will write."""
    try:
        return str(raw)
    except ValueError:
        return None


def _quote(raw: object) -> str:
    """A value as a message quotes it: on one line, at most 80 characters."""
    text = (repr(raw) if isinstance(raw, str) else _plain(raw)) or "..."
    return text if len(text) <= 80 else f"{text[:77]}..."


class FieldGroup:
    """Makes fields of a group; `when` and `common` hold for each field that does not set its own.

    A field whose default is None is optional. With `same_name`, each is handed to the library's
    argument of its own name unless it sets `to`.
    """

    def __init__(
        self, group: str, when: When = (), *, same_name: bool = False, **common: Any
    ) -> None:
        self._common: dict[str, Any] = {"group": group, "when": when, **common}
        self._same_name = same_name

    def field(
        self, name: ArgumentName, kind: Kind, default: Value, when: When | None = None, **more: Any
    ) -> Field:
        """A field of any kind."""
        own = {} if when is None else {"when": when}
        to = name if self._same_name else ""
        content = {"optional": default is None, "to": to, **self._common, **own, **more}
        return Field(name=name, kind=kind, default=default, **content)

    def count(
        self,
        name: ArgumentName,
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
        name: ArgumentName,
        default: float | None,
        low: float,
        high: float,
        when: When | None = None,
        **more: Any,
    ) -> Field:
        """A number from `low` to `high`."""
        return self.field(name, "float", default, when, low=low, high=high, **more)

    def switch(self, name: ArgumentName, when: When | None = None, **more: Any) -> Field:
        """A switch that is off by default."""
        return self.field(name, "bool", False, when, **more)

    def choice(
        self, name: ArgumentName, choices: tuple[str, ...], when: When | None = None, **more: Any
    ) -> Field:
        """A choice whose default is the first."""
        return self.field(name, "choice", choices[0], when, choices=choices, **more)
