"""A purpose's values for the form, each with its reason; what a person has set stays."""

from collections.abc import Collection
from dataclasses import dataclass

from app.i18n import choices, t, translate_choices
from backend.contract.advice import purposes
from backend.contract.advice.model_kind import kind_of
from backend.contract.advice.purposes import FROM_TABLE, Advice
from backend.contract.arguments.arguments import format_value
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments


@dataclass(frozen=True)
class AdviceLine:
    """What is shown of an advised value.

    shown  what the form holds in the end, in words
    own    whether that is what the person has set instead
    """

    name: str
    title: str
    value: Value
    shown: str
    reason: str
    own: bool


@dataclass(frozen=True)
class Filling:
    """The lines of a purpose, and what comes into the form: its values, and the defaults where
    another purpose was chosen before."""

    lines: list[AdviceLine]
    put: Values


def fill(purpose: str, values: Values, put: Values, wrong: Collection[str], lang: str) -> Filling:
    """What a purpose ("" for none) makes of the values of the form.

    put    what another purpose has put into the form before: nobody's own
    wrong  arguments whose values are no good, which a person is about to change
    """
    defaults = {name: FIELDS[name].default_in("train") for name in values}
    plain = {name: (defaults[name], put.get(name, defaults[name])) for name in values}
    own = {name for name, value in values.items() if value not in plain[name]} | {*wrong}
    known = Arguments.of(values)
    kind = kind_of(known.model_name_or_path or "")
    wanted = purposes.PURPOSES.get(purpose, ())
    advised = purposes.advise(wanted, kind, known.stage, known.finetuning_type, own)
    lines = [_describe(each, values[each.argument], each.argument in own, lang) for each in advised]
    anew = {each.argument: each.value for each in advised if each.argument not in own}
    left = {name: defaults[name] for name in put if name not in own and name not in anew}
    return Filling(lines, {**left, **anew})


def _describe(advice: Advice, held: Value, is_own: bool, lang: str) -> AdviceLine:
    """A line of a value; one of the person's own that is the same is not spoken of."""
    name, value = advice.argument, advice.value
    is_other = is_own and held != value
    reason = _reason(advice, lang)
    if is_other:
        reason = t("purpose.kept", lang, value=_word(name, value, lang), reason=reason)
    shown = _word(name, held if is_other else value, lang)
    return AdviceLine(name, t(f"field.{name}.label", lang), value, shown, reason, is_other)


def _word(name: str, value: Value, lang: str) -> str:
    """A value as the person reads it."""
    if isinstance(value, bool):
        return t("facts.yes" if value else "facts.no", lang)
    word = f"{value:g}" if isinstance(value, float) else format_value(value)
    ((text, _),) = translate_choices(choices(name, [word]), lang)
    return text


def _reason(advice: Advice, lang: str) -> str:
    if advice.reason == FROM_TABLE:
        return t("purpose.why.table", lang, source=advice.source)
    return t(f"purpose.why.{advice.reason}", lang)
