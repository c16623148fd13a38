"""The forms in which models write tool calls: the marks around the calls, and a reader for each.

The forms are those of the models' own chat templates; tests/backend/test_tool_templates.py renders
calls with every template that transformers and trl ship and reads them back.
"""

import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from backend.serving.call_values import (
    GemmaValue,
    Json,
    NoCallError,
    Tools,
    convert,
    first_key,
    from_json,
    scan_json,
    scan_python_call,
)

NAME_KEYS = ("name", "tool_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args")
GAP = re.compile(r"(?:[\s;,]|<\|assistant\|>)*")  # GLM-4 begins a turn for each call
FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)</function>(?=\s*(?:<function=|\Z))", re.DOTALL)
PARAMETER = re.compile(
    r"\s*<parameter=([^>\n]+)>(.*?)</parameter>(?=\s*(?:<parameter=|\Z))", re.DOTALL
)
ARGUMENT = re.compile(
    r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>(?=\s*(?:<arg_key>|\Z))", re.DOTALL
)
INVOKE = re.compile(
    r'\s*<([^<>"\s]*?)invoke name="([^"]+)">(.*?)</\1invoke>(?=\s*(?:<\1invoke |\Z))', re.DOTALL
)
INVOKED = re.compile(
    r'\s*<([^<>"\s]*?)parameter name="([^"]+)"(?: string="(true|false)")?>(.*?)</\1parameter>'
    r"(?=\s*(?:<\1parameter |\Z))",
    re.DOTALL,
)
MISTRAL = re.compile(r"\s*([\w./:-]+)\s*(?:\[CALL_ID\]\s*(\w+)\s*)?(?:\[ARGS\])?\s*(?=\{)")
FENCED_HEAD = re.compile(r"\s*(\S+)\s*\n```json\n")
FENCED = re.compile(r"\s*(\S+)\s*\n```json\n(.*)\n```\s*", re.DOTALL)
GEMMA = re.compile(r"\s*call:([\w./-]+)(?=\{)")


class Call(NamedTuple):
    """A call: the function's name, its arguments, and the model's id for it, if any."""

    name: str
    arguments: Json
    id: str | None = None


Read = Callable[[str, Tools], Sequence[Call | str]]


@dataclass(frozen=True)
class Form:
    """Calls between two marks (`closes` "": up to the end of the answer).

    `read` takes the text between the marks and gives the calls, and texts that are content; it
    raises NoCallError for any other text. `inner` are further marks inside.
    """

    opens: str
    closes: str
    read: Read
    inner: tuple[str, ...] = ()


def json_calls(text: str, _: Tools) -> list[Call]:
    """Read objects with name and arguments, one after the other or in a list."""
    calls: list[Call] = []
    at = skip_gap(text, 0)
    while at < len(text):
        value, at = scan_json(text, at)
        calls += map(json_call, value if isinstance(value, list) else [value])
        at = skip_gap(text, at)
    return calls


def json_call(value: Any) -> Call:
    """The call that a JSON object is. Raises NoCallError for any other value."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = {"id": value.get("id"), **value["function"]}
    name = first_key(value, NAME_KEYS) if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise NoCallError("no call")
    arguments = first_key(value, ARGUMENT_KEYS)
    call_id = value.get("id")
    return Call(
        name,
        call_arguments({} if arguments is None else arguments),
        call_id if isinstance(call_id, str) and call_id else None,
    )


def call_arguments(value: Any) -> Json:
    """Arguments as an object, from an object or from JSON text, which may be encoded twice.

    Raises NoCallError.
    """
    value = from_json(value) if isinstance(value, str) else value
    value = from_json(value) if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise NoCallError("arguments are no object")
    return value


def skip_gap(text: str, at: int) -> int:
    """The place behind what stands between calls."""
    gap = GAP.match(text, at)
    return gap.end() if gap else at


def _match_all(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The matches of a pattern, which must cover all of the text. Raises NoCallError."""
    matches, at = [], 0
    while match := pattern.match(text, at):
        matches.append(match)
        at = match.end()
    if text[at:].strip():
        raise NoCallError("something else in between")
    return matches


def function_calls(text: str, tools: Tools) -> list[Call]:
    """Read `<function=name><parameter=key>value</parameter></function>`, values without quotes."""
    calls: list[Call] = []
    for match in _match_all(FUNCTION, text.strip()):
        name, body = match[1].strip(), match[2]
        if body.lstrip().startswith("{"):  # Llama's custom tools: JSON in its place
            calls.append(Call(name, call_arguments(body)))
            continue
        pairs = [
            (each[1].strip(), strip_line_breaks(each[2])) for each in _match_all(PARAMETER, body)
        ]
        calls.append(Call(name, {k: convert(v, tools.types(name, k)) for k, v in pairs}))
    return calls


def strip_line_breaks(value: str) -> str:
    """A value without the line breaks that Qwen writes around it (Seed writes none)."""
    if len(value) > 1 and value[0] == value[-1] == "\n":
        return value[1:-1]
    return "" if value == "\n" else value


def key_value_calls(text: str, tools: Tools) -> list[Call]:
    """Read GLM's form: the name, then `<arg_key>key</arg_key><arg_value>value</arg_value>`."""
    name, mark, rest = text.partition("<arg_key>")
    name = name.strip()
    pairs = [(each[1].strip(), each[2]) for each in _match_all(ARGUMENT, mark + rest)]
    return [Call(name, {key: convert(value, tools.types(name, key)) for key, value in pairs})]


def tagged_calls(text: str, tools: Tools) -> list[Call]:
    """Read the text between <tool_call> marks: JSON (Hermes, Qwen), functions, or GLM's pairs."""
    start = text.lstrip()
    if start.startswith(("{", "[")):
        return json_calls(text, tools)
    return (
        function_calls(text, tools)
        if start.startswith("<function=")
        else key_value_calls(text, tools)
    )


def invoke_calls(text: str, tools: Tools) -> list[Call]:
    """Read `<invoke name="f"><parameter name="key">value</parameter></invoke>`, with any prefix."""
    calls: list[Call] = []
    for match in _match_all(INVOKE, text):
        name = match[2]
        arguments: Json = {}
        for _, key, is_text, value in (each.groups() for each in _match_all(INVOKED, match[3])):
            types = ["string"] if is_text == "true" else tools.types(name, key)
            arguments[key] = convert(value, [] if is_text == "false" else types)
        calls.append(Call(name, arguments))
    return calls


def python_calls(text: str, tools: Tools, *, raw: bool = False) -> list[Call]:
    """Read `[f(a=1), g()]`, or such calls line by line; `raw`: strings are not escaped."""
    text = text.strip()
    listed = text.startswith("[")
    at, end = int(listed), len(text) - int(listed)
    if listed and not text.endswith("]"):
        raise NoCallError("no list")
    calls: list[Call] = []
    while (at := skip_gap(text, at)) < end:
        name, arguments, at = scan_python_call(text, at, tools, raw=raw)
        calls.append(Call(name.removesuffix(".call"), arguments))
    return calls


def shared_mark_calls(text: str, tools: Tools, *, raw: bool = False) -> list[Call]:
    """Read the text between marks of several model families: invocations, JSON, or Python calls."""
    start = text.lstrip()
    if start.startswith("<"):
        return invoke_calls(text, tools)
    is_json = start.startswith(("{", '["', "[{"))
    return json_calls(text, tools) if is_json else python_calls(text, tools, raw=raw)


def mistral_calls(text: str, tools: Tools) -> list[Call]:
    """Read `[{"name": ...}, ...]` or, since version 11 of the format, `name[ARGS]{...}`.

    Missing ids are made here, as Mistral's templates take only ids of nine letters and digits.
    """
    calls: list[Call] = []
    for part in text.split("[TOOL_CALLS]"):
        read = named_json_calls if MISTRAL.match(part) else json_calls
        calls += [call._replace(id=call.id or uuid.uuid4().hex[:9]) for call in read(part, tools)]
    return calls


def named_json_calls(text: str, _: Tools) -> list[Call]:
    """Read `name{...}` one after the other, with Mistral's marks in between or without (GLM-4)."""
    calls: list[Call] = []
    at = 0
    while match := MISTRAL.match(text, at):
        value, at = scan_json(text, match.end())
        calls.append(Call(match[1], call_arguments(value), match[2]))
        at = skip_gap(text, at)
    if text[at:].strip():
        raise NoCallError("something else behind the call")
    return calls


def _between(text: str, begin: str, end: str) -> list[str]:
    """The texts between these marks, which must frame all of the text. Raises NoCallError."""
    before, *parts = text.split(begin)
    framed = [part.rpartition(end) for part in parts]
    if before.strip() or any(not mark or rest.strip() for _, mark, rest in framed):
        raise NoCallError("something else in between")
    return [body for body, _, _ in framed]


def deepseek_calls(text: str, _: Tools) -> list[Call]:
    """Read DeepSeek's form: `function<sep>name` and fenced JSON; since V3.1 `name<sep>{...}`."""
    calls: list[Call] = []
    for body in _between(text, "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"):
        before, _sep, after = body.partition("<｜tool▁sep｜>")
        fenced = FENCED.fullmatch(after)
        name, arguments = (fenced[1], fenced[2]) if fenced else (before.strip(), after)
        calls.append(Call(name, call_arguments(arguments)))
    return calls


def kimi_calls(text: str, _: Tools) -> list[Call]:
    """Read Kimi's form: `functions.name:0` as the id, then the arguments."""
    calls: list[Call] = []
    for body in _between(text, "<|tool_call_begin|>", "<|tool_call_end|>"):
        before, _mark, arguments = body.partition("<|tool_call_argument_begin|>")
        call_id = before.strip()
        name = call_id.removeprefix("functions.").rpartition(":")[0] or call_id
        calls.append(Call(name, call_arguments(arguments), call_id))
    return calls


def gemma_reader(quote: str) -> Read:
    """A reader of `call:name{...}` with Gemma's values; `quote` marks both ends of a string."""

    def read(text: str, _: Tools) -> list[Call]:
        match = GEMMA.match(text)
        if match is None:
            raise NoCallError("no call")
        value, end = GemmaValue(text, quote).read(match.end())
        if text[end:].strip():
            raise NoCallError("something else behind the call")
        return [Call(match[1], value)]

    return read


def llama4_calls(text: str, tools: Tools) -> Sequence[Call | str]:
    """Read content between the two marks of Llama 4 and calls behind, or calls between them."""
    inside, _, behind = text.partition("<|python_end|>")
    if behind.strip():
        return [inside, *json_calls(behind, tools)]
    return shared_mark_calls(inside, tools)


FORMS = (
    Form("<tool_call>", "</tool_call>", tagged_calls),  # Hermes, Qwen, GLM, Nemotron 3, Granite 4
    Form(
        "<function=", "</function>", lambda text, tools: function_calls(_wrap_function(text), tools)
    ),
    Form("[TOOL_CALLS]", "", mistral_calls, ("[ARGS]", "[CALL_ID]")),
    Form("<|python_tag|>", "", shared_mark_calls),  # Llama 3
    Form("<|python_start|>", "", llama4_calls, ("<|python_end|>",)),
    Form(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        deepseek_calls,
        ("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"),
    ),
    Form("<｜DSML｜function_calls>", "</｜DSML｜function_calls>", invoke_calls, ("｜DSML｜",)),
    Form("<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>", invoke_calls),
    Form(
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        kimi_calls,
        ("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    ),
    Form("<|tool_call_start|>", "<|tool_call_end|>", python_calls),  # LFM2
    Form("<|tool_call>", "<tool_call|>", gemma_reader('<|"|>'), ('<|"|>',)),  # Gemma 4
    Form("<start_function_call>", "<end_function_call>", gemma_reader("<escape>"), ("<escape>",)),
    Form("<minimax:tool_call>", "</minimax:tool_call>", invoke_calls),
    Form("<seed:tool_call>", "</seed:tool_call>", function_calls),
    Form("<function_calls>", "</function_calls>", shared_mark_calls),  # OLMo 3
    Form("<tool_calls>", "</tool_calls>", json_calls),  # Jamba, Hunyuan, MiniMax M1
    Form("<|assistant|>", "", named_json_calls),  # GLM-4
    Form("<TOOLCALL>", "</TOOLCALL>", json_calls),  # Nemotron 2
    Form("<|START_ACTION|>", "<|END_ACTION|>", json_calls),  # Command R7B and A
    Form("<|action_start|><|plugin|>", "<|action_end|>", json_calls),  # InternLM 2
    Form("<|tool_call|>", "<|/tool_call|>", json_calls),  # Phi-4-mini, Granite 3
    Form("functools[", "", lambda text, tools: json_calls("[" + text, tools)),  # Phi-4-mini, too
)
RAW = {
    "<|tool_call_start|>": partial(python_calls, raw=True),  # LFM2.5
    "<function_calls>": partial(shared_mark_calls, raw=True),
}
MARKS = frozenset(
    mark for form in FORMS for mark in (form.opens, form.closes, *form.inner) if mark
) | {"<|action_start|>", "<|plugin|>"}


def forms_of(template: str) -> tuple[Form, ...]:
    """The forms to look for in the answers to prompts of this Jinja template.

    These are all forms, as a model may have been trained with others than its template's. Where the
    template does not escape strings between quotes, a backslash is read as a backslash.
    """
    escapes = 'replace("\\\\"' in template
    return tuple(
        replace(form, read=RAW[form.opens])
        if form.opens in RAW and form.opens in template and not escapes
        else form
        for form in FORMS
    )


def _wrap_function(body: str) -> str:
    return f"<function={body}</function>"


def to_openai(call: Call) -> Json:
    """A call in OpenAI's format. Raises ValueError where its arguments are not JSON."""
    text = json.dumps(call.arguments, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= mark <= "\udfff" for mark in text):
        text = json.dumps(call.arguments)
    return {
        "id": call.id or f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": text},
    }
