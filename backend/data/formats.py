"""The shapes of rows that users have, and the one shape that this program works on.

    alpaca           instruction, input, output, system, history
    prompt/response  prompt and response (or completion)
    sharegpt         conversations: from, value; system; tools as JSON text
    openai           messages: role, content, tool_calls; tools

all become a Conversation. A row that cannot is refused with a reason (RowError): the caller counts
it. What is wrong with the whole file (columns, a row without an answer) is a DataError.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from backend.contract.dataset_info import Entry
from backend.contract.problems import DataError, Problem
from backend.data import turns
from backend.data.turns import Message, RowError

Row = Mapping[str, Any]

ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
OPTIONAL = {"system": "system", "history": "history", "tools": "tools"}
PAIRS = (("prompt", "response"), ("prompt", "completion"), ("question", "answer"))
LISTS = {"sharegpt": ("conversations", "messages"), "openai": ("messages", "conversations")}


@dataclass(frozen=True)
class Conversation:
    """Messages {role: system|user|assistant|tool, content; train, tool_calls}, and tools."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Layout:
    """Which column of a row holds what ("" where nothing does), and the names of the roles."""

    kind: str
    columns: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)


def layout(entry: Entry, first: Row, place: tuple[str, int]) -> Layout:
    """The layout of a data set, from its entry and, where that is silent, from its first row.

    `place`: file and line of that row.

    Raises DataError (columns that are there, columns that are needed).
    """
    kind = entry.formatting or _guess(entry, first)
    if kind in LISTS:
        return _list_layout(kind, entry, first, place)
    if entry.columns is not None:
        columns = {key: entry.columns.get(key, "") for key in (*ALPACA, *OPTIONAL)}
    else:
        columns = _alpaca_columns(first)
    for key in ("prompt", "response"):
        if not columns[key] or columns[key] not in first:
            needed = columns[key] or f"columns.{key}"
            raise _columns_error(place, first, needed)
    return Layout("alpaca", columns)


def reader(found: Layout) -> Callable[[Row], Conversation]:
    """The function that turns a row of this layout into a Conversation, or raises RowError."""
    return partial(_alpaca if found.kind == "alpaca" else _listed, found)


def _guess(entry: Entry, first: Row) -> str:
    """alpaca is what an entry without formatting means, unless the rows plainly say otherwise."""
    if entry.columns is not None:
        return "sharegpt" if entry.columns.get("messages") else "alpaca"
    if "messages" in first and "instruction" not in first:
        return "openai"
    if "conversations" in first and "instruction" not in first:
        return "sharegpt"
    return "alpaca"


def _alpaca_columns(first: Row) -> dict[str, str]:
    columns = {**ALPACA, **OPTIONAL}
    if ALPACA["prompt"] in first:
        return columns
    for prompt, response in PAIRS:
        if prompt in first and response in first:
            return {**columns, "prompt": prompt, "query": "", "response": response}
    return columns


def _list_layout(kind: str, entry: Entry, first: Row, place: tuple[str, int]) -> Layout:
    given = entry.columns or {}
    names = [given["messages"]] if given.get("messages") else list(LISTS[kind])
    column = next((name for name in names if name in first), None)
    if column is None:
        raise _columns_error(place, first, names[0])
    optional = OPTIONAL if entry.columns is None else {}
    columns = {
        "messages": column,
        "system": given.get("system", optional.get("system", "")),
        "tools": given.get("tools", optional.get("tools", "")),
    }
    return Layout(kind, columns, turns.tags(entry.tags, kind, first[column]))


def _alpaca(found: Layout, row: Row) -> Conversation:
    columns = found.columns
    answer = _value(row, columns["response"])
    if columns["response"] not in row or answer is None:
        raise RowError("row_without_answer", fatal=True)
    messages: list[Message] = []
    system = _text(row, columns["system"])
    if system:
        messages.append({"role": "system", "content": system})
    for pair in _history(_value(row, columns["history"])):
        messages.append({"role": "user", "content": pair[0]})
        messages.append({"role": "assistant", "content": pair[1]})
    asked = [_text(row, columns["prompt"]), _text(row, columns["query"])]
    messages.append({"role": "user", "content": "\n".join(part for part in asked if part)})
    messages.append({"role": "assistant", "content": turns.text(answer)})
    return _checked(messages, turns.tools(_value(row, columns["tools"])))


def _listed(found: Layout, row: Row) -> Conversation:
    items = row.get(found.columns["messages"])
    if not isinstance(items, list) or not items:
        raise RowError("row_wrong_type" if items is not None and items != [] else "row_no_messages")
    messages = [turns.message(item, found.tags) for item in items]
    system = _text(row, found.columns["system"])
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return _checked(messages, turns.tools(_value(row, found.columns["tools"])))


def _checked(messages: list[Message], tools: list[dict[str, Any]] | None) -> Conversation:
    turns.check_order(messages)
    turns.check_texts(messages)
    return Conversation(messages, tools)


def _history(value: Any) -> list[tuple[str, str]]:
    if value in (None, "", []):
        return []
    if not isinstance(value, list) or any(
        not isinstance(pair, list | tuple) or len(pair) != 2 for pair in value
    ):
        raise RowError("row_wrong_type")
    return [(turns.text(question), turns.text(answer)) for question, answer in value]


def _value(row: Row, column: str) -> Any:
    return row.get(column) if column else None


def _text(row: Row, column: str) -> str:
    value = _value(row, column)
    return "" if value is None else turns.text(value)


def _columns_error(place: tuple[str, int], first: Row, needed: str) -> DataError:
    present = ", ".join(map(str, first))[:200]
    params: dict[str, str | int] = {
        "file": place[0],
        "line": place[1],
        "missing": needed,
        "present": present or "-",
    }
    return DataError(Problem(code="columns_missing", params=params))
