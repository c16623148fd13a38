"""Tool calls as their text comes: what is certain of them before their closing mark.

The readers here see the text of an answer from its opening mark up to the newest token. What they
cannot read yet, they leave to the readers of call_forms, which see the whole.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pydantic_core import from_json

from backend.serving.call_forms import (
    ARGUMENT_KEYS,
    FENCED_HEAD,
    MISTRAL,
    NAME_KEYS,
    Call,
    json_call,
    skip_gap,
    strip_line_breaks,
    to_openai,
)
from backend.serving.call_values import NoCallError, Tools, convert, scan_json

STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f]")
FUNCTION = re.compile(r"\s*<function=([^>\n]+)>")
PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>(.*?)</parameter>(?=\s*<parameter=)", re.DOTALL)
INVOKE = re.compile(r'\s*<[^<>"\s]*?invoke name="([^"]+)">')
INVOKED = re.compile(
    r'\s*<([^<>"\s]*?)parameter name="([^"]+)">(.*?)</\1parameter>(?=\s*<\1parameter )', re.DOTALL
)
CALL_END = re.compile(r"</(?:function|tool_call|[^<>\s]*invoke)>")
PAIRED = re.compile(r"\s*([^\s<>{}\[\]]+)\s*(?=<arg_key>)")
PAIR = re.compile(
    r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>(?=\s*<arg_key>)", re.DOTALL
)


class LiveCall(NamedTuple):
    """A call as far as it has come; `is_whole`: nothing of it is missing."""

    call: Call
    is_whole: bool


Peek = Callable[[str, Tools], Iterable[LiveCall]]


def _escape_controls(text: str) -> str:
    """JSON whose strings have no line breaks as such, which models write and JSON forbids."""

    def escape(string: re.Match[str]) -> str:
        return CONTROL.sub(lambda mark: f"\\u{ord(mark[0]):04x}", string[0])

    return STRING.sub(escape, text)


def _open_json(text: str) -> Any:
    """The value of JSON as far as it has come. Raises NoCallError."""
    try:
        value = from_json(
            _escape_controls(text), allow_partial="trailing-strings", allow_inf_nan=False
        )
    except ValueError as error:
        raise NoCallError("no JSON") from error
    _drop_last_number(value)
    return value


def _drop_last_number(value: Any) -> None:
    """Take a number off the end of an open value: more digits may come."""
    if not (isinstance(value, dict | list) and value):
        return
    key = list(value)[-1] if isinstance(value, dict) else -1
    if isinstance(value[key], int | float) and not isinstance(value[key], bool):
        del value[key]
    else:
        _drop_last_number(value[key])


def _json_value(text: str, at: int) -> tuple[Any, int, bool]:
    """The JSON value at a place, the place behind it, and whether it is whole."""
    try:
        return *scan_json(text, at), True
    except NoCallError:
        return _open_json(text[at:]), len(text), False


def _open_call(value: Any) -> Call:
    """A call whose name is certain, and of whose arguments something has come.

    Raises NoCallError for any other value.
    """
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = {"id": value.get("id"), **value["function"]}
    keys = list(value) if isinstance(value, dict) else []
    name = next((key for key in keys if key in NAME_KEYS), None)
    arguments = next((key for key in keys if key in ARGUMENT_KEYS), None)
    if name is None or arguments is None or keys.index(name) > keys.index(arguments):
        raise NoCallError("no name yet")
    if not (isinstance(value[arguments], dict) and value[arguments]):
        raise NoCallError("no arguments yet")
    return json_call(value)


def peek_json(text: str, _: Tools) -> Iterator[LiveCall]:
    """Objects with name and arguments, one after the other or in a list."""
    at = skip_gap(text, 0)
    while at < len(text):
        value, at, whole = _json_value(text, at)
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items, 1):
            is_whole = whole or number < len(items)
            yield LiveCall(json_call(item) if is_whole else _open_call(item), is_whole)
        at = skip_gap(text, at)


def peek_arguments(name: str, text: str, call_id: str | None = None) -> Iterator[LiveCall]:
    """A call whose name is known, and of whose arguments as JSON this much has come."""
    value, _, is_whole = _json_value(text, len(text) - len(text.lstrip()))
    if isinstance(value, dict) and (value or is_whole):
        yield LiveCall(Call(name, value, call_id), is_whole)


def peek_named(text: str, _: Tools) -> Iterator[LiveCall]:
    """`name{...}` one after the other."""
    at = 0
    while match := MISTRAL.match(text, at):
        value, at, is_whole = _json_value(text, match.end())
        if not (isinstance(value, dict) and (value or is_whole)):
            return
        yield LiveCall(Call(match[1], value, match[2]), is_whole)
        at = skip_gap(text, at)


def _peek_mistral(text: str, tools: Tools) -> Iterator[LiveCall]:
    for part in text.split("[TOOL_CALLS]"):
        for call, is_whole in (peek_named if MISTRAL.match(part) else peek_json)(part, tools):
            yield LiveCall(call._replace(id=call.id or uuid.uuid4().hex[:9]), is_whole)


def _peek_deepseek(text: str, _: Tools) -> Iterator[LiveCall]:
    for body in text.split("<｜tool▁call▁begin｜>")[1:]:
        before, mark, after = body.partition("<｜tool▁sep｜>")
        head = FENCED_HEAD.match(after)
        if mark and (head or after.lstrip().startswith("{")):
            after = after[head.end() :] if head else after
            yield from peek_arguments(head[1] if head else before.strip(), after)


def _peek_kimi(text: str, _: Tools) -> Iterator[LiveCall]:
    for body in text.split("<|tool_call_begin|>")[1:]:
        before, mark, arguments = body.partition("<|tool_call_argument_begin|>")
        call_id = before.strip()
        name = call_id.removeprefix("functions.").rpartition(":")[0] or call_id
        if mark:
            yield from peek_arguments(name, arguments, call_id)


def _peek_pairs(
    heads: re.Pattern[str], pairs: re.Pattern[str], text: str, tools: Tools
) -> Iterator[LiveCall]:
    """The first call whose arguments have marks around them, with those arguments behind which
    another one has begun; further calls are told at their closing mark."""
    head = heads.match(text)
    if head is None:
        return
    name, at, arguments = head[1].strip(), 0, {}
    body = CALL_END.split(text[head.end() :], 1)[0]
    while match := pairs.match(body, at):
        *_, key, value = match.groups()
        value = strip_line_breaks(value) if pairs is PARAMETER else value
        arguments[key.strip()] = convert(value, tools.types(name, key.strip()))
        at = match.end()
    if arguments:
        yield LiveCall(Call(name, arguments), False)


def _peek_tagged(text: str, tools: Tools) -> Iterator[LiveCall]:
    start = text.lstrip()
    if start.startswith(("{", "[")):
        return peek_json(text, tools)
    if start.startswith("<function="):
        return _peek_pairs(FUNCTION, PARAMETER, text, tools)
    return _peek_pairs(PAIRED, PAIR, text, tools)


def _peek_shared(text: str, tools: Tools) -> Iterator[LiveCall]:
    start = text.lstrip()
    if start.startswith("<"):
        return _peek_pairs(INVOKE, INVOKED, text, tools)
    return peek_json(text, tools) if start.startswith(("{", '["', "[{")) else iter(())


def _peek_llama4(text: str, tools: Tools) -> Iterator[LiveCall]:
    return peek_json(text.partition("<|python_end|>")[2], tools)


def peek_bare(text: str, tools: Tools) -> Iterator[LiveCall]:
    """Calls without marks, as `_unmarked_calls` reads them when they are whole."""
    start = text.lstrip()
    return peek_json(text, tools) if start.startswith(("{", "[{")) else peek_named(text, tools)


PEEKS: dict[str, Peek] = {
    "<tool_call>": _peek_tagged,
    "<function=": lambda text, tools: _peek_tagged(f"<function={text}", tools),
    "[TOOL_CALLS]": _peek_mistral,
    "<|python_tag|>": _peek_shared,
    "<|python_start|>": _peek_llama4,
    "<｜tool▁calls▁begin｜>": _peek_deepseek,
    "<|tool_calls_section_begin|>": _peek_kimi,
    "<minimax:tool_call>": _peek_shared,
    "<seed:tool_call>": _peek_tagged,
    "<|assistant|>": peek_named,
    "functools[": lambda text, tools: peek_json(f"[{text}", tools),
    **dict.fromkeys(
        (
            "<tool_calls>",
            "<TOOLCALL>",
            "<|START_ACTION|>",
            "<|action_start|><|plugin|>",
            "<|tool_call|>",
        ),
        peek_json,
    ),
}


def certain_calls(lives: Iterable[LiveCall], tools: Tools) -> Iterator[LiveCall]:
    """The calls that a peek reads, up to the first that is none, or that no tool has."""
    try:
        for live in lives:
            to_openai(live.call)
            if live.call.name not in tools:
                return
            yield live
    except (ValueError, RecursionError):
        return
