"""Numbers as people of a language write them: 12,345.6 and 8% are 12.345,6 and 8 % in German."""

import re
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

# Languages that write numbers as English does, where Babel need not be loaded.
AS_ENGLISH = {"ar", "en", "ja", "ko", "zh", "zh-Hant"}
ZEROS = str.maketrans("123456789", "0" * 9)
NUMBER = re.compile(r"(?<![\w.,])(?<![eE][-+])(\d[\d,]*)(\.\d+)?(%?)(?![\w.,])")


class Number(str):
    """A number as English writes it, with or without a unit. `locales.t` writes it as the language
    of its text does; all other parameters of a text stay as they are, as names and arguments do."""

    __slots__ = ()


def format_number(value: float, form: str = ",") -> Number:
    """A number in a format of Python's: with groups of thousands by default."""
    return Number(format(value, form))


@lru_cache(1024)
def localize(text: str, lang: str) -> str:
    """The numbers in a text of English writing as a language writes them."""
    if lang in AS_ENGLISH:
        return text
    return NUMBER.sub(lambda match: _rewrite(match[1], match[2] or "", match[3], lang), text)


def _rewrite(whole: str, fraction: str, percent: str, lang: str) -> str:
    from babel.numbers import format_decimal

    locale, gap = _find_conventions(lang)
    groups = "#,##0" if "," in whole else "0"
    pattern = groups + fraction.translate(ZEROS)
    value = Decimal(whole.replace(",", "") + fraction)
    return format_decimal(value, format=pattern, locale=locale) + (gap + percent if percent else "")


@cache
def _find_conventions(lang: str) -> tuple[Any, str]:
    """The locale of a language, and what stands between a number and the sign of percent."""
    from babel import Locale

    locale = Locale.parse(lang, sep="-")
    pattern = locale.percent_formats[None].pattern
    return locale, pattern.removesuffix("%").removeprefix("#,##0")
