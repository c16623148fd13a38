"""Numbers in texts, as each language writes them."""

import json
import subprocess
import sys

import pytest

from app.services.data import row_tree
from app.services.runs import run_text
from backend.contract.texts.locales import languages, t
from backend.contract.texts.numbers import AS_ENGLISH, Number, format_number, localize
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import decimal_size


@pytest.mark.parametrize(
    ("lang", "thousands", "share", "size"),
    [
        ("en", "12,345", "8.5%", "3.09 GB"),
        ("de", "12.345", "8,5\xa0%", "3,09 GB"),
        ("ru", "12\xa0345", "8,5\xa0%", "3,09 GB"),
        ("vi", "12.345", "8,5%", "3,09 GB"),
        ("ar", "12,345", "8.5%", "3.09 GB"),
    ],
)
def test_a_number_is_written_as_the_language_writes_it(
    lang: str, thousands: str, share: str, size: str
) -> None:
    assert localize(format_number(12_345), lang) == thousands
    assert localize(format_number(0.085, ".1%"), lang) == share
    assert localize(decimal_size(3_087_000_000), lang) == size
    assert thousands in t("facts.tokens", lang, n=format_number(12_345))


def test_digits_and_what_is_no_number_stay() -> None:
    assert localize("0.0500 / 1,000", "de") == "0,0500 / 1.000"
    for text in ("1.2e-05", "v5.23.0", "7.62B", "a.1,b.2", "–", ""):
        assert localize(text, "de") == text


def test_names_and_arguments_stay_as_they_are_typed() -> None:
    """A rate that is said as 0,05 would be refused where it is typed."""
    params = {"value": "0.05", "near": "1,000"}
    assert "0.05" in Problem(code="choice_near", field="x", params=params).text("de")
    needed = Problem(code="disk_half", params={"needed": "3.09 GB", "free": "1,234 GB"})
    again = Problem.from_json(json.loads(json.dumps(needed.to_json())))  # as a run holds it
    assert "3,09 GB" in again.text("de")
    assert "1.234 GB" in again.text("de")


def test_a_path_in_a_text_from_right_to_left_keeps_its_beginning() -> None:
    """ "/root/data" stood there as "root/data/"; the marks that help are no hidden ones of data."""
    missing = Problem(code="adapter_missing", params={"path": "/root/data"})
    assert "\u2066/root/data\u2069" in missing.text("ar")
    assert "\u2066" not in missing.text("de")
    shown = row_tree.note(missing.text("ar") + "\u202e")["inside"][0]
    assert "\u2066/root/data\u2069" in shown
    assert "⟨U+202E⟩" in shown


def test_a_loss_of_a_list_follows_the_language() -> None:
    assert run_text.describe_loss(2.34567, "de") == "2,3457"
    assert run_text.describe_loss(None, "de") == "–"


def test_languages_that_write_as_english_does_need_no_table() -> None:
    """Babel is loaded by the first page in another one: it costs 9 MB."""
    from babel import Locale

    same = set()
    for lang in languages():
        symbols = Locale.parse(lang, sep="-").number_symbols["latn"]
        percents = Locale.parse(lang, sep="-").percent_formats[None].pattern
        if (symbols["decimal"], symbols["group"], percents) == (".", ",", "#,##0%"):
            same.add(lang)
    assert same == AS_ENGLISH & set(languages())
    code = (
        "import sys; from backend.contract.texts.numbers import Number, localize\n"
        "print(localize(Number('1,234'), 'en'), 'babel' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1,234 False\n"
    assert isinstance(format_number(1), Number)
