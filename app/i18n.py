"""The texts of the page: which property of which component shows which key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from backend.contract.texts.locales import DEFAULT_LANGUAGE, has, isolate, languages, t

Said = TypeVar("Said")

__all__ = [
    "DEFAULT_LANGUAGE",
    "TextKeys",
    "Texts",
    "choices",
    "has",
    "in_all",
    "isolate",
    "languages",
    "name_choice",
    "pick_language",
    "t",
]


def choices(field: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """(key, value) pairs for a list of choices. A value without a text is shown as it is."""
    return [(f"choice.{field}.{value}", value) for value in values]


def translate_choices(pairs: Sequence[tuple[str, str]], lang: str) -> list[tuple[str, str]]:
    """The (text, value) pairs of a list of choices, as Gradio takes them."""
    return [(t(key, lang) if has(key) else value, value) for key, value in pairs]


def name_choice(field: str, value: str, lang: str) -> str:
    """A choice of a field as the page names it; one without a text as it is."""
    key = f"choice.{field}.{value}"
    return t(key, lang) if has(key) else value


def pick_language(name: object) -> str:
    """The language of this name if we ship it, else the default one."""
    return str(name) if name in languages() else DEFAULT_LANGUAGE


class Texts:
    """The register of components and text keys, with which one event changes the page's language.

    `add(component, label="field.x.label", choices=choices("x", row.choices))` stores the keys;
    `say` returns the texts in the default language, for a component's constructor.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[Any, dict[str, Any]]] = []

    def add(self, component: Any, **keys: Any) -> Any:
        """Register a component; values are keys of texts, `choices` (key, value) pairs."""
        self._rows.append((component, keys))
        return component

    def make(self, kind: Any, keys: dict[str, Any], **settings: Any) -> Any:
        """A component with its texts in the default language, registered under their keys."""
        return self.add(kind(**say(keys), **settings), **keys)

    @property
    def components(self) -> list[Any]:
        """The registered components: the outputs of a change of language."""
        return [component for component, _ in self._rows]

    def updates(self, lang: str) -> list[dict[str, Any]]:
        """A Gradio update for each component, in the order of `components`."""
        return [{"__type__": "update", **say(keys, lang)} for _, keys in self._rows]


def say(keys: dict[str, Any], lang: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
    """Constructor arguments from keys: {"label": "a.b"} -> {"label": "..."}.

    `choices` are (key, value) pairs, a mapping has a key for each of its names.
    """
    return {name: _translate(name, value, lang) for name, value in keys.items()}


def in_all(say_one: Callable[[str], Said]) -> dict[str, Said]:
    """What is said in each language, for what stays on a page that may change its own."""
    return {lang: say_one(lang) for lang in languages()}


@dataclass(frozen=True)
class TextKeys:
    """Keys of texts that a script is told in the language of the page, and in another one once that
    is chosen: one key, or keys by the names that the script has for them."""

    keys: str | Mapping[str, Any]

    def say(self, lang: str) -> Any:
        """The texts in a language."""
        return _translate("", self.keys, lang)


def _translate(name: str, value: Any, lang: str) -> Any:
    if name == "choices":
        return translate_choices(value, lang)
    if isinstance(value, Mapping):
        return {each: t(key, lang) for each, key in value.items()}
    return t(value, lang)
