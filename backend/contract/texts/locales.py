"""Texts by key and language, read from locales/*.json (flat: key -> text with {placeholders})."""

import json
from functools import cache
from pathlib import Path

from backend.contract.folders.home import resource_folder
from backend.contract.texts.numbers import Number, localize

DEFAULT_LANGUAGE = "en"
RIGHT_TO_LEFT = {"ar"}
JUMPING = ("/", ".", "-", "~")  # signs that would go to the end of a path or a number there


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a file in locales, English first."""
    names = sorted(path.stem for path in _folder().glob("*.json"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_LANGUAGE))


def t(key: str, lang: str = DEFAULT_LANGUAGE, /, **params: object) -> str:
    """The text of `key` in `lang`, its placeholders filled from `params`.

    A `Number` is written as the language writes it. An unknown language falls back to English. An
    unknown key is our mistake: KeyError.
    """
    texts = table(lang if lang in languages() else DEFAULT_LANGUAGE)
    values = {name: _write(value, lang) for name, value in params.items()}
    return texts[key].format(**values)


def _write(value: object, lang: str) -> object:
    if isinstance(value, Number):
        return localize(value, lang)
    is_turned = lang in RIGHT_TO_LEFT and str(value).startswith(JUMPING)
    return isolate(str(value), lang) if is_turned else value


def isolate(text: str, lang: str) -> str:
    """A path, a flag, a formula as "0.1 → 0.2" for a text in a language: it is read from left to
    right in any."""
    return f"\u2066{text}\u2069" if lang in RIGHT_TO_LEFT else text


def t_in_all(key: str) -> dict[str, str]:
    """The text of `key` in each language. No table is kept for it: few languages are spoken."""
    return {lang: _read(lang)[key] for lang in languages()}


def has(key: str) -> bool:
    """Whether a text is written for this key."""
    return key in table(DEFAULT_LANGUAGE)


def _folder() -> Path:
    return resource_folder("locales")


@cache
def table(lang: str) -> dict[str, str]:
    """All texts of a language, kept from the first use on."""
    return _read(lang)


def _read(lang: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((_folder() / f"{lang}.json").read_text(encoding="utf-8"))
    return texts
