"""Grammars of answers: which texts they let pass, in each form of calls, and after a thought."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch

from backend.model.answer_grammar import Grammars, Thought
from backend.serving.answer_rules import AnswerRule, Language, grammar
from backend.serving.calls import Calls
from backend.serving.reasoning import HeaderReader
from backend.serving.token_texts import TokenTexts
from tests.backend.conftest import make_tokenizer

llguidance = pytest.importorskip("llguidance")  # of the extra "worker"
INTEGER = {"type": "integer"}
MAP = {"type": "object", "properties": {"a": INTEGER, "b": INTEGER}}
WEATHER = {
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TOOLS: list[Any] = [
    {"type": "function", "function": WEATHER},
    {"type": "function", "function": {"name": "time"}},
]
NAMES = ("weather", "time")
GOOD = '{"name": "weather", "arguments": {"city": "Paris"}}'
BAD = '{"name": "weather", "arguments": {"town": "Paris"}}'


class Writing:
    """A tokenizer with some special tokens, and a chat template."""

    def __init__(self, *special: str, jinja: str = "", knows_tools: bool = False) -> None:
        self.tokenizer = make_tokenizer(*special)
        self.end = self.tokenizer.eos_token_id
        texts = TokenTexts(self.tokenizer)
        count = len(self.tokenizer)
        self.grammars = Grammars(self.tokenizer, count, (self.end,), texts.content)
        template = SimpleNamespace(jinja=jinja, knows_tools=knows_tools)
        self.language = Language.of(template, self.tokenizer, self.grammars.problem)

    def grammar(self, **rule: Any) -> str:
        text = grammar(AnswerRule(**rule), TOOLS if rule.get("names") else (), self.language)
        assert text is not None
        return text

    def accepts(self, grammar: str, text: str) -> bool:
        """Whether an answer may be this text, and end there."""
        step: Any = self.grammars.hold(grammar, 1, None)
        ids = [0]
        for token in [*self.tokenizer.encode(text), self.end]:
            scores = step(torch.tensor([ids]), torch.zeros(1, len(self.tokenizer)))
            if scores[0, token] < 0:
                return False
            ids.append(token)
        return True


@pytest.fixture(scope="module")
def plain() -> Writing:
    return Writing()


SCHEMAS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("enum beside type", {"type": "integer", "enum": [1, "a"]}, '"a"', False),
    (
        "minimum beside $ref",
        {"$ref": "#/$defs/n", "minimum": 5, "$defs": {"n": INTEGER}},
        "3",
        False,
    ),
    (
        "required beside anyOf",
        {**MAP, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "{}",
        False,
    ),
    ("minimum without type", {"minimum": 5}, "3", False),
    ("required, no property", {**MAP, "required": ["c"]}, '{"a": 1}', False),
    ("maxLength", {"type": "string", "maxLength": 2}, '"abc"', False),
    ("maxLength 100", {"type": "string", "maxLength": 100}, r'"a\nb"', True),
    ("multipleOf", {"type": "integer", "multipleOf": 5}, "7", False),
    ("minProperties", {"type": "object", "minProperties": 2}, '{"a": 1}', False),
    ("patternProperties", {"patternProperties": {"^a": INTEGER}}, '{"ab": "x"}', False),
    ("prefixItems", {"prefixItems": [INTEGER], "items": False}, "[1, 2]", False),
    ("pattern", {"type": "string", "pattern": "^a+$"}, '"ab"', False),
    ("date", {"type": "string", "format": "date"}, '"2026-13-01"', False),
    ("const", {"const": {"a": [1]}}, '{"a": [1]}', True),
    ("nested", {"type": "array", "items": {"type": "array", "items": MAP}}, '[[{"b": 2}]]', True),
    ("blanks", MAP, '{\n  "a": 1,\n  "b": 2\n}', True),
]


@pytest.mark.parametrize(("name", "schema", "text", "passes"), SCHEMAS)
def test_what_passes_is_valid(
    plain: Writing, name: str, schema: dict[str, Any], text: str, passes: bool
) -> None:
    """The keywords that xgrammar leaves out where they stand beside others, and more: see
    findings/xgrammar_keywords_are_left_out_without_a_word.sh."""
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    valid = jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(
        json.loads(text)
    )
    assert valid is passes
    assert plain.accepts(plain.grammar(schema=schema), text) is passes, name


def test_blanks_have_an_end(plain: Writing) -> None:
    """Some models would write line breaks until nothing is left of max_tokens."""
    text = plain.grammar(schema=MAP)
    assert plain.accepts(text, '\n\n{"a":1}')
    assert not plain.accepts(text, "\n" * 5 + '{"a":1}')
    assert not plain.accepts(text, '{\n\n\n"a":1}')
    assert not plain.accepts(text, '{"a":1}\n')


TAGGED = f"<tool_call>\n{GOOD}\n</tool_call>"


@pytest.mark.parametrize("special", [(), ("<tool_call>", "</tool_call>")], ids=["text", "special"])
def test_tagged_calls(special: tuple[str, ...]) -> None:
    """Hermes' form, whose marks are special tokens of some tokenizers, and text for others."""
    writing = Writing(*special)
    must = writing.grammar(names=NAMES, must_call=True)
    assert writing.accepts(must, TAGGED)
    assert writing.accepts(must, f"{TAGGED}\n{TAGGED}")
    assert not writing.accepts(must, "Hello")
    assert not writing.accepts(must, TAGGED.replace(GOOD, BAD))
    assert not writing.accepts(must, TAGGED.replace("weather", "storm"))
    one = writing.grammar(names=NAMES, must_call=True, one_call=True)
    assert writing.accepts(one, TAGGED)
    assert not writing.accepts(one, f"{TAGGED}\n{TAGGED}")
    named = writing.grammar(names=("time",), must_call=True)
    assert not writing.accepts(named, TAGGED)
    can = writing.grammar(names=NAMES)
    for text in ("", "Hello <b>", TAGGED, f"I look.{TAGGED}", f"{TAGGED}\n{TAGGED}\nDone."):
        assert writing.accepts(can, text), text
    assert not writing.accepts(can, TAGGED.replace(GOOD, BAD))
    both = writing.grammar(names=NAMES, schema=MAP)
    assert writing.accepts(both, TAGGED)
    assert writing.accepts(both, '{"a": 1}')
    assert not writing.accepts(both, "Hello")


@pytest.mark.parametrize("jinja", ["<|python_tag|>", "[TOOL_CALLS]"])
def test_bare_calls_are_read_back(jinja: str) -> None:
    writing = Writing(jinja=jinja, knows_tools=True)
    key = "parameters" if "python" in jinja else "arguments"
    call = GOOD.replace("arguments", key)
    must = writing.grammar(names=NAMES, must_call=True)
    for text, count in ((call, 1), (f"[{call}, {call}]", 2)):
        assert writing.accepts(must, text)
        reader = Calls(TOOLS)
        assert reader.add(text) == ""
        reader.end()
        assert len(reader.stream.calls) == count
    assert not writing.accepts(must, BAD.replace("arguments", key))
    one = writing.grammar(names=NAMES, must_call=True, one_call=True)
    assert not writing.accepts(one, f"[{call}, {call}]")
    free = grammar(AnswerRule(names=NAMES), TOOLS, writing.language)
    assert free is None, "calls in a form of the model's own are free"


def test_calls_with_headers_are_read_back() -> None:
    marks = ("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>")
    writing = Writing(*marks, jinja="<|start|>assistant<|message|>", knows_tools=True)
    call = (
        '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Paris"}'
    )
    must = writing.grammar(names=NAMES, must_call=True)
    assert writing.accepts(must, call)
    assert not writing.accepts(must, call.replace("city", "town"))
    reader = HeaderReader(TOOLS)
    reader.add(call)
    reader.end()
    (read,) = reader.stream.calls
    assert json.loads(read["function"]["arguments"]) == {"city": "Paris"}
    text = writing.grammar(schema=MAP)
    assert writing.accepts(text, '<|channel|>final<|message|>{"a": 1}')
    assert not writing.accepts(text, '{"a": 1}')


def test_a_function_that_is_not_strict_may_have_any_schema(plain: Writing) -> None:
    odd = {"name": "time", "parameters": {"type": "object", "not": {"required": ["x"]}}}
    tools = [{"type": "function", "function": odd}]
    rule = AnswerRule(names=("time",), must_call=True)
    text = grammar(rule, tools, plain.language)
    assert text is not None
    assert plain.accepts(text, '<tool_call>\n{"name": "time", "arguments": {"y": 1}}\n</tool_call>')


@pytest.mark.parametrize("begun", [True, False])
def test_a_thought_comes_before_the_answer(begun: bool) -> None:
    writing = Writing("<think>", "</think>")
    tokenizer, end = writing.tokenizer, writing.end
    opening = tokenizer.convert_tokens_to_ids("<think>")
    thought = Thought(None if begun else opening, b"</think>")
    step: Any = writing.grammars.hold(writing.grammar(schema=MAP), 1, thought)
    text = ("" if begun else "<think>") + 'Let me see.</think>\n\n{"a": 1}'
    ids = [0]
    inside = begun
    for token in [*tokenizer.encode(text), end]:
        scores = step(torch.tensor([ids]), torch.zeros(1, len(tokenizer)))[0]
        assert scores[token] == 0, tokenizer.decode(ids[1:])
        if inside:
            assert scores[end] < 0, "a thought alone is no answer"
            assert (scores == 0).sum() == len(tokenizer) - 1
        elif len(ids) == 1:
            assert scores[tokenizer.encode("{")[0]] == 0, "it may also answer at once"
        ids.append(token)
        inside = (inside or token == opening) and tokenizer.decode(token) != "</think>"


def test_without_the_library_the_request_is_refused(
    plain: Writing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    from backend.contract.texts.problems import UsageError

    monkeypatch.setitem(sys.modules, "llguidance.hf", None)
    writing = Writing()
    with pytest.raises(UsageError) as caught:
        writing.grammar(schema=MAP)
    assert caught.value.problems[0].code == "package_missing"
