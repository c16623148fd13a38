"""Write tools, calls and results into the texts for templates without them (Hermes/Qwen form)."""

import re
from itertools import count
from operator import itemgetter
from typing import Any

from backend.datafiles import values
from backend.datafiles.turns import Message

TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>"""
CALLS = """

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""

# Forms of call ids that templates need: Mistral's raise for all but nine letters and digits,
# Kimi's write the id in place of the name.
IDS = {
    "nine": (re.compile("[a-zA-Z0-9]{9}"), "call{number:05d}"),
    "named": (re.compile(r"functions\..+:\d+"), "functions.{name}:{number}"),
}


def uses_tools(messages: list[Message], tools: list[dict[str, Any]] | None) -> bool:
    """Whether a conversation has tools, calls or results."""
    return bool(tools) or any(m["role"] == "tool" or m.get("tool_calls") for m in messages)


def write_tools_in_words(
    messages: list[Message], tools: list[dict[str, Any]] | None, system: str
) -> list[Message]:
    """Write the tools into the system text, calls into answers and results into user turns.

    system: the system text where the conversation has none of its own.
    """
    written: list[Message] = []
    for message in messages:
        if message["role"] == "tool":
            text = f"<tool_response>\n{message['content']}\n</tool_response>"
            if written and written[-1].get("result"):
                text = written.pop()["content"] + "\n" + text
            written.append({"role": "user", "content": text, "result": True})
        elif message.get("tool_calls"):
            rest = {name: value for name, value in message.items() if name != "tool_calls"}
            written.append({**rest, "content": answer_text(message)})
        else:
            written.append(message)
    written = [{k: v for k, v in message.items() if k != "result"} for message in written]
    return describe_tools(written, tools, system, TOOLS + CALLS)


def describe_tools(
    messages: list[Message], tools: list[dict[str, Any]] | None, system: str, words: str = TOOLS
) -> list[Message]:
    """Write the tools into the system text, with `words` around them."""
    if not tools:
        return messages
    rest = messages
    if messages and messages[0]["role"] == "system":
        system, rest = messages[0]["content"], messages[1:]
    listed = "\n".join(values.dumps(tool) for tool in tools)
    parts = [part for part in (system, words.format(tools=listed)) if part]
    return [{"role": "system", "content": "\n\n".join(parts)}, *rest]


def set_call_ids(messages: list[Message], form: str) -> list[Message]:
    """Replace call ids that are missing or not of this form; "" takes any.

    A result that names no call answers the first one that waits for a result.
    """
    if not form:
        return messages
    fits, pattern = IDS[form]
    ids: dict[str, str] = {}
    numbers = count()
    waiting: list[str] = []
    renamed: list[Message] = []
    for message in messages:
        calls = []
        for call in message.get("tool_calls") or []:
            before = str(call.get("id") or "")
            new = pattern.format(name=call["function"]["name"], number=next(numbers))
            ids[before or new] = before if fits.fullmatch(before) else new
            waiting.append(ids[before or new])
            calls.append({**call, "id": waiting[-1]})
        if calls:
            message = {**message, "tool_calls": calls}
        elif message["role"] == "tool" and waiting:
            answered = ids.get(str(message.get("tool_call_id")), waiting[0])
            waiting = [each for each in waiting if each != answered]
            message = {**message, "tool_call_id": answered}
        renamed.append(message)
    return renamed


def sort_results_by_call(messages: list[Message]) -> list[Message]:
    """Put the results of an answer's calls in the order of the calls, by their ids, for templates
    that do not write ids."""
    if not any(message["role"] == "tool" for message in messages):
        return messages
    ordered: list[Message] = []
    order: dict[str, int] = {}
    results: list[Message] = []
    for message in messages:
        if message["role"] == "tool":
            results.append(message)
            continue
        ordered += _sort_by_call(results, order)
        results = []
        ids = [str(call.get("id")) for call in message.get("tool_calls") or []]
        order = {name: number for number, name in enumerate(ids)}
        ordered.append(message)
    return ordered + _sort_by_call(results, order)


def _sort_by_call(results: list[Message], order: dict[str, int]) -> list[Message]:
    places = [order.get(str(each.get("tool_call_id"))) for each in results]
    if None in places:
        return results
    return [each for _, each in sorted(zip(places, results, strict=True), key=itemgetter(0))]


def write_arguments_as_text(messages: list[Message]) -> list[Message]:
    """Write the arguments of all calls as JSON text."""
    return [
        {**message, "tool_calls": [_write_as_text(call) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _write_as_text(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    text = values.dumps(function["arguments"])
    return {**call, "function": {**function, "arguments": text}}


def answer_text(message: Message) -> str:
    """The text of an answer, with its tool calls written out."""
    calls = [
        f"<tool_call>\n{values.dumps(call['function'])}\n</tool_call>"
        for call in message.get("tool_calls") or []
    ]
    return "\n".join(part for part in [message.get("content") or "", *calls] if part)
