"""What a form draws, as data for the browser: its sections, fields and texts in one language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.form.extra_arguments import BOX
from app.form.values import display, offers_names, options
from app.i18n import choices, has, t, translate_choices
from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.foreign import ALIASES

WIDTH = 4  # fields in a row of a wide section
# Secrets, and what people call them: none is kept in the browser, nor a text that names one.
SECRETS = sorted(
    {name for name, field in FIELDS.items() if field.secret}
    | {alias for alias, name in ALIASES.items() if FIELDS[name].secret}
)
WORDS = (
    "advanced",
    "changed",
    "defaults",
    "defaults_done",
    "docs",
    "free_text",
    "hidden_changed",
    "hidden_wrong",
    "loading",
    "mode",
    "more_about",
    "no_match",
    "open_list",
    "options",
    "put_back",
    "range",
    "remove",
    "show",
    "simple",
    "unchecked",
    "undo",
)


@dataclass(frozen=True)
class Section:
    """Fields that stand together.

    title   the key of its text; "" for none
    slot    "first" above what a tab puts into the form, "rest" below it
    closed  whether it has to be opened to be seen
    width   fields in a row
    simple  those that are seen in simple mode, too; a form where no section has any has one mode
    """

    id: str
    title: str
    names: tuple[str, ...]
    slot: str = "rest"
    closed: bool = False
    width: int = WIDTH
    simple: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnField:
    """A field that is no argument, such as the name of the run.

    default  what it holds at first
    choices  (value, key of its text) pairs of a choice
    offers   what a list of names offers
    when     the field applies where each of these has one of the values
    source   the field that holds further options of a choice
    """

    name: str
    kind: str
    label: str
    help: str
    placeholder: str = ""
    default: Any = ""
    choices: tuple[tuple[str, str], ...] = ()
    offers: str = ""
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    source: str = ""


EXTRA = OwnField(BOX, "area", "extra.label", "extra.help", "extra.placeholder")


def schema(
    task: str,
    sections: Sequence[Section],
    own: Mapping[str, OwnField],
    defaults: Mapping[str, Any],
    lang: str,
) -> dict[str, Any]:
    """The form of a subcommand as JSON.

    own       fields that are no arguments, by name
    defaults  what each field holds at first
    """
    drawn = [name for section in sections for name in section.names]
    return {
        "lang": lang,
        "sections": [_section(section, lang) for section in sections],
        "fields": {
            name: _own(own[name], defaults[name], lang)
            if name in own
            else _field(FIELDS[name], task, defaults[name], lang)
            for name in drawn
        },
        "simple": [name for section in sections for name in section.simple],
        "secrets": SECRETS,
        "free": BOX if BOX in own else "",
        "words": {name: t(f"form.{name}", lang) for name in WORDS},
    }


def _section(section: Section, lang: str) -> dict[str, Any]:
    names, width = section.names, section.width
    return {
        "id": section.id,
        "title": t(section.title, lang) if section.title else "",
        "slot": section.slot,
        "closed": section.closed,
        "rows": [list(names[start : start + width]) for start in range(0, len(names), width)],
    }


def _own(field: OwnField, default: Any, lang: str) -> dict[str, Any]:
    return {
        "kind": field.kind,
        "label": t(field.label, lang),
        "help": t(field.help, lang),
        "default": default,
        "placeholder": t(field.placeholder or _word_of_empty(field.offers), lang),
        "choices": [(value, t(key, lang)) for value, key in field.choices],
        "when": [[name, list(allowed)] for name, allowed in field.when],
        "source": field.source,
        "offers": field.offers,
        "range": "",
        "secret": False,
        "optional": True,
    }


def _field(field: Field, task: str, default: Any, lang: str) -> dict[str, Any]:
    return {
        "kind": kind_of(field),
        "label": t(f"field.{field.name}.label", lang),
        "help": t(f"field.{field.name}.help", lang),
        "default": default,
        "choices": _choices(field, lang),
        "when": [[name, list(allowed)] for name, allowed in field.conditions(task)],
        "offers": field.widget if offers_names(field) else "",
        "range": _range(field, lang),
        "secret": field.secret,
        "optional": field.optional,
        "placeholder": t(_word_of_empty(offers_names(field)), lang),
    }


def kind_of(field: Field) -> str:
    """The kind of control that a field is drawn with."""
    if options(field):
        return "radio" if field.widget == "radio" else "choice"
    if field.kind == "bool":
        return "bool"
    if offers_names(field):
        return "several" if field.kind == "list" else "one"
    if field.secret:
        return "secret"
    if field.widget == "area":
        return "area"
    return "number" if field.kind in {"int", "float"} else "text"


def _word_of_empty(offers: object) -> str:
    """The key of what stands in an empty box: what to do there, or that it may stay so."""
    return "form.choose_or_type" if offers else "form.not_set"


def _choices(field: Field, lang: str) -> list[tuple[str, str]]:
    """(value, text) pairs."""
    values = options(field) or field.choices
    return [(value, text) for text, value in translate_choices(choices(field.name, values), lang)]


def _range(field: Field, lang: str) -> str:
    """The closed range of a number in words; "" where it has none."""
    if field.kind not in {"int", "float"} or (field.low is None and field.high is None):
        return ""
    limits = {"low": field.low, "high": field.high}
    bounds = {name: display(field, limit) for name, limit in limits.items() if limit is not None}
    key = "form.range_" + "_".join(bounds)
    return t(key, lang, **bounds) if has(key) else ""


def start_values(
    task: str, sections: Sequence[Section], own: Mapping[str, OwnField], start: Mapping[str, Any]
) -> dict[str, Any]:
    """What each field of the sections holds at first: its default, or the value in `start`."""
    names = [name for section in sections for name in section.names if name not in own]
    return {
        **{name: field.default for name, field in own.items()},
        **{
            name: display(FIELDS[name], start.get(name, FIELDS[name].default_in(task)))
            for name in names
        },
    }
