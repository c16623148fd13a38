"""What an answer must be, as a grammar (llguidance's Lark): JSON by a schema, calls of tools."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from backend.contract.texts.problems import Problem, UsageError
from backend.serving.call_values import Json

# Between the parts of a JSON text: one space, or a line break and the blanks that begin a line. The
# library's own choice is any number of blanks, which some models then write without end.
OPTIONS = {
    "whitespace_flexible": True,
    "whitespace_pattern": r"(\n[ \t]{0,40}| )",
    "lenient": False,
}
GAP = "GAP: /[ \\n]{1,4}/"
ANY_OBJECT: Json = {"type": "object"}
SCHEMA_PLACE = "response_format.json_schema.schema"
CallForm = Literal["tagged", "bare", "headers", "other"]
Functions = dict[str, Json]  # by their places in the request


@dataclass(frozen=True, kw_only=True)
class AnswerRule:
    """What the answer to a request must be.

    schema     that of the JSON text that the answer is; None where it is free text
    must_call  whether the answer must be a call (or several)
    names      of the functions that can be called
    one_call   at most one call
    """

    schema: Json | None = None
    must_call: bool = False
    names: tuple[str, ...] = ()
    one_call: bool = False


class Language(NamedTuple):
    """How a model writes: the form of its calls, its special tokens (name and id), and what says
    why a grammar cannot be used ("" where it can).

    "tagged" is Hermes' form of calls, which is also that of templates that know no tools. "other"
    are forms of which calls that must be written are bare JSON, and others are free.
    """

    form: CallForm
    special: dict[str, int]
    problem: Callable[[str], str]

    @classmethod
    def of(cls, template: Any, tokenizer: Any, problem: Callable[[str], str]) -> "Language":
        """The language of a chat template and its tokenizer."""
        added = tokenizer.added_tokens_decoder.items()
        special = {token.content: index for index, token in added if token.special}
        return cls(_call_form(template), special, problem)

    def mark(self, text: str) -> str:
        """A mark around a call or an answer, in a grammar."""
        return f"<[{self.special[text]}]>" if text in self.special else json.dumps(text)


def _call_form(template: Any) -> CallForm:
    jinja = template.jinja
    if "<|start|>assistant" in jinja and "<|message|>" in jinja:
        return "headers"
    other_tags = "<function=" in jinja or "<arg_key>" in jinja
    if not template.knows_tools or ("<tool_call>" in jinja and not other_tags):
        return "tagged"
    return "bare" if "<|python_tag|>" in jinja else "other"


def grammar(rule: AnswerRule, tools: Sequence[Json], language: Language) -> str | None:
    """The grammar of an answer; None where it is free.

    Raises UsageError for a schema that cannot be enforced; that of a function without `strict` is
    then any object.
    """
    places = [f"tools.{number}.function" for number in range(len(tools))]
    functions = {
        place: tool["function"]
        for place, tool in zip(places, tools, strict=True)
        if tool["function"]["name"] in rule.names
    }
    if rule.schema is None and not rule.must_call:
        strict = any(function.get("strict") for function in functions.values())
        if not strict or language.form != "tagged":
            return None
        rules = _text_with_calls(rule, functions, language)
    else:
        rules = _json_or_calls(rule, functions, language)
    text = "\n".join(rules) + "\n"
    if reason := language.problem(text):
        params = {"place": "tools", "reason": reason}
        raise UsageError(Problem(code="schema_refused", field="tools", params=params))
    return text


def _json_or_calls(rule: AnswerRule, functions: Functions, language: Language) -> list[str]:
    ways, rules = [], [GAP]
    if rule.schema is not None and not rule.must_call:
        ways.append("answer")
        rules.append(_answer(rule.schema, language))
    if functions:
        ways.append("calls")
        rules += _calls(rule, functions, language)
    return [f"start: GAP? ({' | '.join(ways)})", *rules]


def _answer(schema: Json, language: Language) -> str:
    part = _check_schema(schema, SCHEMA_PLACE, language)
    if language.form == "headers":
        part = f'{language.mark("<|channel|>")} "final" {language.mark("<|message|>")} {part}'
    return f"answer: {part}"


def _text_with_calls(rule: AnswerRule, functions: Functions, language: Language) -> list[str]:
    """Any text, in which a mark begins a call by the schema of its tool."""
    opens = "<tool_call>"
    if opens in language.special:
        begin = f"to_call: TEXT {language.mark(opens)}"
    else:
        begin = f"to_call[lazy]: TEXT {json.dumps(opens)}"
    return [
        f"start: call{'?' if rule.one_call else '*'} TEXT",
        f'call: to_call "\\n" tool "\\n" {language.mark("</tool_call>")}',
        begin,
        r"TEXT: /(.|\n)*/",
        *_tools(functions, "arguments", language),
    ]


def _calls(rule: AnswerRule, functions: Functions, language: Language) -> list[str]:
    """One call or several in the form of the language."""
    if language.form == "headers":
        return ["calls: tool", *_tools_with_headers(functions, language)]
    if language.form == "tagged":
        opens, closes = language.mark("<tool_call>"), language.mark("</tool_call>")
        more = "" if rule.one_call else " (GAP? call)*"
        call = f'call: {opens} "\\n" tool "\\n" {closes}'
        return [f"calls: call{more}", call, *_tools(functions, "arguments", language)]
    key = "parameters" if language.form == "bare" else "arguments"
    several = '"[" GAP? tool (GAP? "," GAP? tool)* GAP? "]"'
    ways = "tool" if rule.one_call else f"tool | {several}"
    return [f"calls: {ways}", *_tools(functions, key, language)]


def _tools(functions: Functions, key: str, language: Language) -> list[str]:
    """The rules of `tool`: JSON objects with the names and arguments of functions."""
    rules, names = [], []
    for number, (place, function) in enumerate(functions.items()):
        begin = json.dumps(f'{{"name": {json.dumps(function["name"])}, "{key}": ')
        rules.append(f'tool_{number}: {begin} arguments_{number} "}}"')
        rules.append(f"arguments_{number}: {_arguments(function, place, language)}")
        names.append(f"tool_{number}")
    return [f"tool: {' | '.join(names)}", *rules]


def _tools_with_headers(functions: Functions, language: Language) -> list[str]:
    """The rules of `tool`: messages with headers, as gpt-oss writes them."""
    rules, names = [], []
    to, kind, body = map(language.mark, ("<|channel|>", "<|constrain|>", "<|message|>"))
    for number, (place, function) in enumerate(functions.items()):
        name = json.dumps(f"commentary to=functions.{function['name']} ")
        arguments = _arguments(function, place, language)
        rules.append(f'tool_{number}: {to} {name} {kind} "json" {body} arguments_{number}')
        rules.append(f"arguments_{number}: {arguments}")
        names.append(f"tool_{number}")
    return [f"tool: {' | '.join(names)}", *rules]


def _arguments(function: Json, place: str, language: Language) -> str:
    schema = function.get("parameters") or ANY_OBJECT
    if function.get("strict"):
        return _check_schema(schema, f"{place}.parameters", language)
    part = _json(schema)
    return _json(ANY_OBJECT) if language.problem(_alone(part)) else part


def _check_schema(schema: Json, place: str, language: Language) -> str:
    """A schema as a part of a grammar. Raises UsageError where it cannot be enforced."""
    part = _json(schema)
    if reason := language.problem(_alone(part)):
        params = {"place": place, "reason": reason}
        raise UsageError(Problem(code="schema_refused", field=place, params=params))
    return part


def _alone(part: str) -> str:
    return f"start: answer\nanswer: {part}\n"


def _json(schema: Json) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": OPTIONS})
