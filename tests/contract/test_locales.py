"""Every text that the code asks for is written, in every language, and no text is left over."""

import ast
import json
import re
import string
from functools import cache

import pytest

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS
from backend.contract.arguments.rules import RULES
from backend.contract.texts.locales import has, languages, t
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import columns
from tests.contract.source import (
    ROOT,
    called,
    constants,
    every_call,
    is_used,
    literals,
    made_problems,
    trees,
)
from tests.loops import check_each

TABLES: dict[str, dict[str, str]] = {
    lang: json.loads((ROOT / "locales" / f"{lang}.json").read_text(encoding="utf-8"))
    for lang in languages()
}
ENGLISH = TABLES["en"]
BRITISH = re.compile(
    r"\b\w*(?:quantis|optimis|normalis|tokenis|organis|recognis|summaris|initialis|serialis|minimis"
    r"|generalis(?!t)|favour|behaviour|neighbour|coloured)\w*|\b(?:labelled|licen[c]es?|modelling)\b",
    re.IGNORECASE,
)
every_language = pytest.mark.parametrize("lang", languages())
others = pytest.mark.parametrize("lang", languages()[1:])
MARKS = ("<", ">", "**", "\n", "[", "](", "`")
CODE = re.compile(r"`[^`]*`")
NO_WORDS = re.compile(r"`[^`]*`|\{[^{}]*\}")
WORD = re.compile("[A-Za-z]{3,}")
NO_SPACES = {"ja", "zh", "zh-Hant"}  # whose brackets and colons bring their space with them
SHORT = 30  # characters of an English text that has a small place on the page
SPOKEN = re.compile(r"problem\.|command\.")  # which have a whole line
# The letters of languages that are not written in Latin ones.
LETTERS = {
    "ar": "[\u0600-\u06ff]",
    "ja": "[\u3040-\u30ff\u4e00-\u9fff]",
    "ko": "[\uac00-\ud7a3]",
    "ru": "[\u0400-\u04ff]",
    "zh": "[\u4e00-\u9fff]",
    "zh-Hant": "[\u4e00-\u9fff]",
}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def edges(text: str) -> tuple[bool, bool]:
    """Whether a text begins and ends with white space."""
    return text[:1].isspace(), text[-1:].isspace()


def test_there_is_source_to_look_at() -> None:
    assert len(trees()) > 20
    assert len({made.code for made in made_problems()}) > 40


@every_language
def test_languages_have_the_same_keys(lang: str) -> None:
    assert set(TABLES[lang]) == set(ENGLISH)


@every_language
def test_languages_have_the_same_placeholders(lang: str) -> None:
    for key, text in TABLES[lang].items():
        assert placeholders(text) == placeholders(ENGLISH[key]), key


@every_language
def test_texts_are_written(lang: str) -> None:
    for key, text in TABLES[lang].items():
        assert text.strip(), key
        assert "TODO" not in text, key


def test_texts_and_documents_are_spelled_the_american_way() -> None:
    """ "quantise" stood in 11 texts and "quantize" in 99: a search for one missed the other."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(pages) > 20
    assert BRITISH.search("the normalisation, an optimiser, its licence") is not None
    texts = ENGLISH | {str(page): page.read_text(encoding="utf-8") for page in pages}
    matches = {name: BRITISH.search(text) for name, text in texts.items()}
    assert {name: match[0] for name, match in matches.items() if match} == {}


def test_there_are_twelve_languages() -> None:
    assert set(languages()) == {"en", *LETTERS, "de", "es", "fr", "pt-BR", "vi"}


@others
def test_code_and_marks_are_those_of_the_english_text(lang: str) -> None:
    """A backtick too few swallows the rest of a help, a name in another spelling does nothing."""
    for key, text in TABLES[lang].items():
        english = ENGLISH[key]
        assert sorted(CODE.findall(text)) == sorted(CODE.findall(english)), key
        assert [text.count(mark) for mark in MARKS] == [english.count(m) for m in MARKS], key
        assert edges(text) == edges(english) or lang in NO_SPACES, key


@others
def test_no_text_is_left_in_english(lang: str) -> None:
    """A text copied from English would pass every other test."""
    same = {key for key, text in TABLES[lang].items() if text == ENGLISH[key]}
    assert [key for key in same if len(WORD.findall(NO_WORDS.sub("", ENGLISH[key]))) >= 3] == []
    helps = [key for key in ENGLISH if key.endswith(".help") or key.startswith("problem.")]
    assert len(helps) > 150
    letters = LETTERS.get(lang, "")
    assert [key for key in helps if not re.search(letters, TABLES[lang][key])] == []


@others
def test_what_has_a_small_place_is_short(lang: str) -> None:
    """Labels, buttons, titles of columns: a row of them is as wide as the page in English."""
    keys = [key for key, text in ENGLISH.items() if len(text) < SHORT and not SPOKEN.match(key)]
    assert len(keys) > 500
    longest = {key: 1.6 * columns(ENGLISH[key]) + 6 for key in keys}
    assert [key for key in keys if columns(TABLES[lang][key]) > longest[key]] == []


def test_each_argument_has_a_label_and_a_help() -> None:
    def check(row: Field) -> None:
        assert len(ENGLISH[f"field.{row.name}.label"]) <= 40
        assert len(ENGLISH[f"field.{row.name}.help"]) <= 200
        assert ENGLISH[f"field.{row.name}.help"].endswith(".")

    assert check_each(FIELDS, check) > 200


def test_labels_are_not_given_twice_in_a_group() -> None:
    for group in GROUPS:
        labels = [ENGLISH[f"field.{r.name}.label"] for r in FIELDS.values() if r.group == group]
        assert len(labels) == len(set(labels)), group


def test_no_text_of_an_argument_is_left_over() -> None:
    known = {f"group.{group}" for group in GROUPS}
    for row in FIELDS.values():
        known |= {f"field.{row.name}.label", f"field.{row.name}.help"}
        values = ("true", "false") if row.kind == "bool" else row.choices
        known |= {f"choice.{row.name}.{value}" for value in values}
        known |= {f"choice.{row.name}.none"} if row.optional else set()
    assert {f"group.{group}" for group in GROUPS} <= set(ENGLISH)
    assert [
        key
        for key in ENGLISH
        if key.split(".")[0] in {"field", "group", "choice"} - {""} and key not in known
    ] == []


def test_each_problem_has_a_text() -> None:
    missing = [f"{p.place} {p.code}" for p in made_problems() if not has(f"problem.{p.code}")]
    assert missing == []


def test_each_problem_brings_what_its_text_names() -> None:
    """A text with a placeholder that the code does not fill raises KeyError before the person."""
    known = [p for p in made_problems() if p.given is not None and has(f"problem.{p.code}")]
    assert len(known) > 40
    for made in known:
        unfilled = placeholders(ENGLISH[f"problem.{made.code}"]) - made.given - {"field"}
        assert not unfilled, f"{made.place} {made.code}: {sorted(unfilled)}"


def test_rules_need_no_parameters() -> None:
    for rule in RULES:
        assert placeholders(ENGLISH[f"problem.{rule.code}"]) <= {"field"}, rule.code


def test_no_problem_s_text_is_left_over() -> None:
    codes = {key.removeprefix("problem.") for key in ENGLISH if key.startswith("problem.")}
    assert sorted(code for code in codes if code not in constants()) == []


@cache
def asked() -> list[tuple[str, str, ast.Call]]:
    """(place, key, call) for each t("key") and each say({...: "key"})."""
    found = []
    for place, call in every_call():
        nodes: list[ast.expr] = []
        if called(call) == "t":
            nodes = call.args[:1]
        elif called(call) == "say" and call.args and isinstance(call.args[0], ast.Dict):
            nodes = call.args[0].values
        found += [(place, key, call) for node in nodes for key in literals(node)]
    return found


def test_each_text_asked_for_by_name_exists() -> None:
    assert len(asked()) > 20
    assert [f"{place} {key}" for place, key, _ in asked() if not has(key)] == []


def test_texts_asked_for_by_name_get_their_parameters() -> None:
    for place, key, call in asked():
        names = {keyword.arg for keyword in call.keywords}
        if called(call) == "t" and None not in names:
            missing = placeholders(ENGLISH.get(key, "")) - names
            assert not missing, f"{place} {key}: {sorted(missing)}"


def test_no_text_is_left_over() -> None:
    others = [key for key in ENGLISH if key.split(".")[0] not in {"field", "choice", "problem"}]
    assert [key for key in others if not is_used(key)] == []


def test_a_problem_tells_its_place_first() -> None:
    problem = Problem(code="not_int", field="seed", params={"value": "'x'", "at": "a.yaml:3"})
    assert problem.text().startswith("a.yaml:3: seed ")
    assert Problem.from_json(problem.to_json()).text("zh").startswith("a.yaml:3: seed ")
    assert Problem.from_json({"torn": 1}).text()
    for notice in (True, False):  # a notice of the server was shown as an error by Tuner.chat
        again = Problem.from_json(Problem(code="tuner_no_run", notice=notice).to_json())
        assert again.notice is notice


def test_an_unknown_language_falls_back_and_an_unknown_key_raises() -> None:
    assert t("group.model", "xx") == ENGLISH["group.model"]
    with pytest.raises(KeyError):
        t("no.such.key")
