"""Texts by key and language, read from locales/*.json (flat: key -> text with {placeholders})."""

import json
from functools import cache
from pathlib import Path

from backend.contract.folders.home import resource_folder

DEFAULT_LANGUAGE = "en"


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a file in locales, English first."""
    names = sorted(path.stem for path in _folder().glob("*.json"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_LANGUAGE))


def t(key: str, lang: str = DEFAULT_LANGUAGE, /, **params: object) -> str:
    """The text of `key` in `lang`, its placeholders filled from `params`.

    An unknown language falls back to English. An unknown key is our mistake: KeyError.
    """
    table = _table(lang) if lang in languages() else _table(DEFAULT_LANGUAGE)
    return table[key].format(**params)


def has(key: str) -> bool:
    """Whether a text is written for this key."""
    return key in _table(DEFAULT_LANGUAGE)


def _folder() -> Path:
    return resource_folder("locales")


@cache
def _table(lang: str) -> dict[str, str]:
    table: dict[str, str] = json.loads((_folder() / f"{lang}.json").read_text(encoding="utf-8"))
    return table
