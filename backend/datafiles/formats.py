"""Convert rows of every supported format to a Conversation, the one form that stages use.

    alpaca           instruction, input, output, system, history
    prompt/response  prompt and response (or completion), as texts or lists of messages
    sharegpt         conversations: from, value; system; tools as JSON text
    openai           messages: role, content, tool_calls; tools (or function_call and functions)
    text             one column of plain text

With chosen and rejected (texts, messages or lists of messages) a row is a preference, with
kto_tag (or label) it is a judged answer. A row that cannot be converted is refused with a reason
(RowError), which the caller counts. backend.datafiles.layouts finds which column holds what.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from backend.datafiles import ordering, turns
from backend.datafiles.layouts import FUNCTIONS, LISTS, PAIR, Layout
from backend.datafiles.ordering import Notes
from backend.datafiles.turns import Message, RowError
from backend.datafiles.values import DataRow

Tools = list[dict[str, Any]] | None


@dataclass(frozen=True)
class Conversation:
    """Messages {role: system|user|assistant|tool, content; train, tool_calls ...}, and tools.

    The last message is the answer. A preference has two instead, `chosen` and `rejected` (each one
    message), and its messages end with the question; so do rows of which only the question is
    wanted. `label` says whether the answer is desirable. A plain text has no messages, but `text`.
    `notes` are the codes of what was mended in the order of turns (backend.datafiles.ordering).
    """

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    chosen: Message | None = None
    rejected: Message | None = None
    label: bool | None = None
    text: str = ""
    notes: Notes = ()

    @property
    def asked(self) -> list[Message]:
        """The messages up to the answer: the prompt."""
        answered = self.messages and self.messages[-1]["role"] == "assistant"
        return self.messages[:-1] if answered else self.messages

    @property
    def answer(self) -> Message | None:
        """The answer in the data; of a preference the chosen one."""
        answered = self.messages and self.messages[-1]["role"] == "assistant"
        return self.messages[-1] if answered else self.chosen


Read = Callable[[DataRow], Conversation]


def reader(layout: Layout, *, strict: bool = False) -> Read:
    """The function that turns a row of this layout into a Conversation, or raises RowError.

    strict: turns out of order are refused, not mended.
    """
    return partial(
        _read_plain if layout.kind == "text" else _read_chat, replace(layout, strict=strict)
    )


def _read_plain(layout: Layout, row: DataRow) -> Conversation:
    layout.refuse_media(row)
    value = _text(row, layout.columns["text"])
    if not value.strip():
        raise RowError("row_empty_text")
    turns.check_characters(value)
    return Conversation([], text=value)


def _read_chat(layout: Layout, row: DataRow) -> Conversation:
    """Read a row with messages, as far as the stage needs them."""
    layout.refuse_media(row)
    columns = layout.columns
    open_ended = layout.wanted in {"pair", "prompt"}  # there the question may stand elsewhere
    if layout.kind == "alpaca" and not open_ended and columns["prompt"] not in row:
        raise RowError("row_missing_key")
    asked = _read_list(layout, row) if layout.kind in LISTS else _read_alpaca(columns, row)
    tools = turns.read_tools(_value(row, columns["tools"]))
    tools = tools or turns.read_tools(_value(row, columns.get(FUNCTIONS, "")))
    read = {"pair": _read_preference, "prompt": _read_question}.get(layout.wanted, _read_answered)
    conversation = read(layout, row, asked, tools)
    notes = [*conversation.notes, *layout.note_placeholders(row, conversation.messages)]
    if any(turns.is_older(value, layout.tags) for value in _list_structures(columns, row)):
        notes.append("row_older_calls")
    return replace(conversation, notes=tuple(notes)) if notes else conversation


def _read_answered(
    layout: Layout, row: DataRow, asked: list[Message], tools: Tools
) -> Conversation:
    """Read a question with its answer and, where the stage needs it, the label."""
    answer = _read_answer(layout, row, "response") if layout.kind == "alpaca" else []
    messages, notes = _order(layout, [asked, answer])
    turns.check_texts(messages)
    label = _read_tag(_value(row, layout.columns["kto_tag"])) if layout.wanted == "label" else None
    return Conversation(messages, tools, label=label, notes=notes)


def _join(layout: Layout, part: list[Message]) -> tuple[list[Message], Notes]:
    return (part, ()) if layout.strict else ordering.join(part)


def _order(
    layout: Layout, parts: list[list[Message]], open_end: bool = False
) -> tuple[list[Message], Notes]:
    """Join the parts to a conversation in order; also returns the codes of what was mended."""
    whole = [message for part in parts for message in part]
    if layout.strict:
        ordering.check_strictly(whole, open_end=open_end)
        return whole, ()
    if ordering.is_settled(whole, open_end=open_end):
        return whole, ()
    joined = [_join(layout, part) for part in parts]
    messages = [message for part, _ in joined for message in part]
    settled, notes = ordering.settle(messages, open_end=open_end)
    return settled, tuple(dict.fromkeys([*(note for _, part in joined for note in part), *notes]))


def _read_preference(
    layout: Layout, row: DataRow, asked: list[Message], tools: Tools
) -> Conversation:
    """Read a chosen and a rejected answer, which may repeat the question before the answer."""
    (chosen, chosen_notes), (rejected, rejected_notes) = (
        _join(layout, _read_answer(layout, row, key)) for key in PAIR
    )
    before = chosen[:-1]
    if not turns.are_same(before, rejected[:-1]):
        raise RowError("row_two_questions")
    if before:
        own = before[0]["role"] == "system"
        asked = [each for each in asked[:1] if each["role"] == "system" and not own] + before
    sides = [_order(layout, [asked, side[-1:]]) for side in (chosen, rejected)]
    for messages, _ in sides:
        turns.check_texts(messages)
    if turns.are_same(chosen[-1:], rejected[-1:]):
        raise RowError("row_same_answers")
    notes = tuple(dict.fromkeys([*chosen_notes, *rejected_notes, *sides[0][1]]))
    asked = sides[0][0][:-1]
    return Conversation(asked, tools, chosen=chosen[-1], rejected=rejected[-1], notes=notes)


def _read_question(
    layout: Layout, row: DataRow, asked: list[Message], tools: Tools
) -> Conversation:
    """Read a question; an answer in the data stays as its reference."""
    keys = (key for key in ("response", "chosen") if _value(row, layout.columns[key]))
    key = next(keys, None)
    answer: list[Message] = []
    if key and (not asked or asked[-1]["role"] != "assistant"):
        answer = _read_answer(layout, row, key)
        asked = asked if len(answer) == 1 else []
    last = [*asked, *answer][-1:]
    open_end = not last or last[0]["role"] != "assistant"
    messages, notes = _order(layout, [asked, answer], open_end)
    turns.check_texts(messages, answered=False)
    return Conversation(messages, tools, notes=notes)


def _read_alpaca(columns: Mapping[str, str], row: DataRow) -> list[Message]:
    """Read system text, history and question (which may itself be a list of messages)."""
    messages: list[Message] = []
    system = _text(row, columns["system"])
    if system:
        messages.append({"role": "system", "content": system})
    for pair in _read_history(_value(row, columns["history"])):
        messages.append({"role": "user", "content": pair[0]})
        messages.append({"role": "assistant", "content": pair[1]})
    question = _value(row, columns["prompt"])
    if turns.is_message_list(question):
        return messages + turns.read_messages(question)
    parts = [_text(row, columns["prompt"]), _text(row, columns["query"])]
    written = "\n".join(part for part in parts if part)
    if columns["prompt"] in row:
        messages.append({"role": "user", "content": written})
    return messages


def _read_answer(layout: Layout, row: DataRow, key: str) -> list[Message]:
    """Read the answer, with the messages before it where the column holds a list."""
    column = layout.columns[key]
    value = _value(row, column)
    if column not in row or value is None:
        raise RowError("row_without_answer", fatal=True)
    items = [value] if isinstance(value, dict) else value
    if turns.is_message_list(items):
        return turns.read_messages(items)
    if isinstance(items, list) and layout.tags:
        return [turns.read_message(item, layout.tags) for item in items]
    return [{"role": "assistant", "content": turns.read_text(value)}]


def _read_list(layout: Layout, row: DataRow) -> list[Message]:
    items = row.get(layout.columns["messages"])
    if not isinstance(items, list) or not items:
        raise RowError("row_wrong_type" if items is not None and items != [] else "row_no_messages")
    messages = [turns.read_message(item, layout.tags) for item in items]
    system = _text(row, layout.columns["system"])
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _read_tag(value: Any) -> bool:
    """Read whether an answer is desirable: true or false, 1 or 0, also as text (CSV)."""
    word = str(value).strip().lower().removesuffix(".0")  # a table with gaps holds 1.0
    if word not in {"true", "false", "1", "0"}:
        raise RowError("row_bad_tag")
    return word in {"true", "1"}


def _read_history(value: Any) -> list[tuple[str, str]]:
    if value in (None, "", []):
        return []
    if not isinstance(value, list) or any(
        not isinstance(pair, list | tuple) or len(pair) != 2 for pair in value
    ):
        raise RowError("row_wrong_type")
    return [(turns.read_text(question), turns.read_text(answer)) for question, answer in value]


def _value(row: DataRow, column: str) -> Any:
    return row.get(column) if column else None


def _list_structures(columns: Mapping[str, str], row: DataRow) -> list[Any]:
    """The values of a row that are lists or objects."""
    values = (row.get(name) for name in columns.values() if name)
    return [value for value in values if isinstance(value, list | dict)]


def _text(row: DataRow, column: str) -> str:
    value = _value(row, column)
    return "" if value is None else turns.read_text(value)
