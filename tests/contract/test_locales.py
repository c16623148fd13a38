"""Every text that the code asks for is written, in every language, and no text is left over."""

import ast
import json
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from backend.contract.fields import FIELDS, GROUPS
from backend.contract.problems import Problem
from backend.contract.rules import RULES
from backend.contract.texts import has, languages, t

ROOT = Path(__file__).parents[2]
TABLES: dict[str, dict[str, str]] = {
    lang: json.loads((ROOT / "locales" / f"{lang}.json").read_text(encoding="utf-8"))
    for lang in languages()
}
ENGLISH = TABLES["en"]
MAKERS = {"Problem": "code", "Rule": "code"}  # called with code=...
RAISERS = {"_error", "_file_problem", "_Refused"}  # called with the code as first argument
every_language = pytest.mark.parametrize("lang", languages())


@cache
def trees() -> dict[str, ast.Module]:
    files = [path for name in ("app", "backend") for path in (ROOT / name).rglob("*.py")]
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in files}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(place, name of the function, call) for every call in the source."""
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                yield f"{file}:{node.lineno}", name, node


def literals(node: ast.AST | None) -> list[str]:
    """Every string that an expression can be: a literal, or the branches of a condition."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in literals(value)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def made_problems() -> Iterator[tuple[str, str, ast.Call]]:
    """(place, code, call) for every problem that the source can make."""
    for place, name, call in calls():
        if name in MAKERS:
            code = next((k.value for k in call.keywords if k.arg == MAKERS[name]), None)
        elif name in RAISERS:
            code = call.args[0] if call.args else None
        else:
            continue
        for literal in literals(code):
            yield place, literal, call


@cache
def constants() -> frozenset[str]:
    return frozenset(
        node.value
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def built_keys() -> list[re.Pattern[str]]:
    """What f-strings such as f"tab.{name}" can give, as patterns."""
    patterns = []
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(part.value) if isinstance(part, ast.Constant) else r"[\w.]+"
                    for part in node.values
                ]
                text = "".join(parts)
                if re.match(r"[a-z_]+\\\.", text):
                    patterns.append(re.compile(text))
    return patterns


def is_used(key: str) -> bool:
    return key in constants() or any(pattern.fullmatch(key) for pattern in built_keys())


def test_there_is_source_to_look_at() -> None:
    assert len(trees()) > 20
    assert len({code for _, code, _ in made_problems()}) > 40


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
        assert text.strip() == text or key == "reference.details", key
        assert text, key
        assert "TODO" not in text, key


def test_chinese_is_chinese() -> None:
    """A text copied from English would pass every other test."""
    helps = [key for key in ENGLISH if key.endswith(".help") or key.startswith("problem.")]
    assert len(helps) > 150
    assert [key for key in helps if not re.search("[\u4e00-\u9fff]", TABLES["zh"][key])] == []


@pytest.mark.parametrize("name", FIELDS)
def test_each_argument_has_a_label_and_a_help(name: str) -> None:
    assert len(ENGLISH[f"field.{name}.label"]) <= 40
    assert len(ENGLISH[f"field.{name}.help"]) <= 200
    assert ENGLISH[f"field.{name}.help"].endswith(".")


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
    missing = [
        f"{place} {code}" for place, code, _ in made_problems() if not has(f"problem.{code}")
    ]
    assert missing == []


def test_each_problem_brings_what_its_text_names() -> None:
    """A text with a placeholder that the code does not fill raises KeyError before the person."""
    seen = 0
    for place, code, call in made_problems():
        given = _params(call)
        if given is None or not has(f"problem.{code}"):
            continue
        seen += 1
        unfilled = placeholders(ENGLISH[f"problem.{code}"]) - given
        assert not unfilled, f"{place} {code}: {sorted(unfilled)}"
    assert seen > 20


def _params(call: ast.Call) -> set[str] | None:
    """The parameters of a problem where they can be read off the source."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    always = {"field"} if name in {"Problem", "Rule", "_error"} else {"file", "line"}
    if name in RAISERS:
        names = {keyword.arg for keyword in call.keywords}
        return None if None in names else always | {arg for arg in names if arg}
    params = next((k.value for k in call.keywords if k.arg == "params"), None)
    if params is None:
        return always
    if not isinstance(params, ast.Dict) or None in params.keys:
        return None
    return always | {text for key in params.keys for text in literals(key)}


def test_rules_need_no_parameters() -> None:
    for rule in RULES:
        assert placeholders(ENGLISH[f"problem.{rule.code}"]) <= {"field"}, rule.code


def test_no_problem_s_text_is_left_over() -> None:
    codes = {key.removeprefix("problem.") for key in ENGLISH if key.startswith("problem.")}
    assert sorted(code for code in codes if code not in constants()) == []


def test_each_text_asked_for_by_name_exists() -> None:
    asked = [
        (place, key)
        for place, name, call in calls()
        if name == "t" and call.args
        for key in literals(call.args[0])
    ]
    asked += [
        (place, key)
        for place, name, call in calls()
        if name == "say" and call.args and isinstance(call.args[0], ast.Dict)
        for value in call.args[0].values
        for key in literals(value)
    ]
    assert len(asked) > 20
    assert [f"{place} {key}" for place, key in asked if not has(key)] == []


def test_texts_asked_for_by_name_get_their_parameters() -> None:
    for place, name, call in calls():
        names = {keyword.arg for keyword in call.keywords}
        if name != "t" or not call.args or None in names:
            continue
        for key in literals(call.args[0]):
            missing = placeholders(ENGLISH.get(key, "")) - names
            assert not missing, f"{place} {key}: {sorted(map(str, missing))}"


def test_no_text_is_left_over() -> None:
    others = [key for key in ENGLISH if key.split(".")[0] not in {"field", "choice", "problem"}]
    assert [key for key in others if not is_used(key)] == []


def test_a_problem_tells_its_place_first() -> None:
    problem = Problem(code="not_int", field="seed", params={"value": "'x'", "at": "a.yaml:3"})
    assert problem.text().startswith("a.yaml:3: seed ")
    assert Problem.from_json(problem.to_json()).text("zh").startswith("a.yaml:3: seed ")
    assert Problem.from_json({"torn": 1}).text()


def test_an_unknown_language_falls_back_and_an_unknown_key_raises() -> None:
    assert t("group.model", "xx") == ENGLISH["group.model"]
    with pytest.raises(KeyError):
        t("no.such.key")
