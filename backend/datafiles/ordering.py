"""Check the order of a conversation's turns, and mend orders that still make sense.

    turns of one role after each other   joined by an empty line; calls of several turns are one
    the assistant speaks first           its greeting is context, and is not learned
    a system text later on               stays where it is (a template that has no place for it
                                         there gets it in a turn of the user, see turn_places)
    a system text that is null           is left out, as if it were not there

Each is reported as a notice (row_joined, row_greeting, row_late_system, row_null_system). All that
the assistant says from the user's first words on is learned. strict_turns refuses such rows.
"""

from collections.abc import Mapping

from backend.datafiles.turns import THOUGHTS, Message, RowError

Notes = tuple[str, ...]  # codes
After = Mapping[str | None, set[str]]

SEPARATOR = "\n\n"
# Who may speak after whom; None is the begin.
AFTER: After = {
    None: {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user"},
    "call": {"tool"},
    "tool": {"tool", "assistant"},
}
# As it is once the rules above are applied.
MENDED: After = {
    **AFTER,
    None: {"system", "user", "assistant"},
    "system": {"user", "assistant"},
    "user": {"assistant", "system"},
    "assistant": {"user", "system"},
}
JOINED = ("user", "assistant", "system")


def join(messages: list[Message]) -> tuple[list[Message], Notes]:
    """Drop system texts that are null and join neighboring turns of one role, in a conversation
    or a part of one; also returns the codes of what was done.

    Raises RowError where two turns cannot be joined.
    """
    notes: dict[str, None] = {}
    joined: list[Message] = []
    for message in messages:
        role = message["role"]
        if role == "system" and message["content"] is None:
            notes["row_null_system"] = None
        elif joined and role == joined[-1]["role"] and role in JOINED:
            joined[-1] = _join(joined[-1], message)
            notes["row_joined"] = None
        else:
            joined.append(message)
    return joined, tuple(notes)


def settle(messages: list[Message], *, open_end: bool = False) -> tuple[list[Message], Notes]:
    """Mark the greeting of a whole conversation as not to be learned; also returns the codes of
    what is unusual in its order.

    open_end: the last turn is the user's or a tool's, and the answer is still to come. Raises
    RowError where the roles are out of order or the last turn is another's.
    """
    _check(messages, MENDED, open_end)
    notes: dict[str, None] = {}
    first = next(at for at, message in enumerate(messages) if message["role"] == "user")
    settled = list(messages)
    for at, message in enumerate(messages):
        if message["role"] == "assistant" and at < first:
            settled[at] = {**message, "train": False}
            notes["row_greeting"] = None
        if message["role"] == "system" and at:
            notes["row_late_system"] = None
    return settled, tuple(notes)


def is_settled(messages: list[Message], *, open_end: bool = False) -> bool:
    """Whether a conversation is in order as it is, so that nothing is to be mended."""
    try:
        _check(messages, AFTER, open_end)
    except RowError:
        return False
    return all(message["content"] is not None for message in messages)


def check_strictly(messages: list[Message], *, open_end: bool = False) -> None:
    """Raises RowError where a conversation is not in order without the rules above."""
    _check(messages, AFTER, open_end)


def _join(first: Message, second: Message) -> Message:
    """Two turns of one role as one: texts and thoughts are joined, of other fields the first's
    stay. Raises RowError where two speak (by name), where only one of them is to be learned, or
    where a text follows a call, of which no template knows how it is written."""
    learned = {message.get("train") is not False for message in (first, second)}
    speakers = {message.get("name") for message in (first, second)}
    if len(learned) > 1 or len(speakers) > 1 or (first.get("tool_calls") and second["content"]):
        raise RowError("row_roles")
    joined = {**second, **first}
    for key in ("content", *THOUGHTS):
        if key in joined:
            joined[key] = SEPARATOR.join(
                message[key] for message in (first, second) if message.get(key)
            )
    calls = [*(first.get("tool_calls") or []), *(second.get("tool_calls") or [])]
    return {**joined, "tool_calls": calls} if calls else joined


def _check(messages: list[Message], after: After, open_end: bool) -> None:
    before: str | None = None
    for message in messages:
        role = "call" if message.get("tool_calls") else message["role"]
        allowed = after[before]
        if role not in allowed and not (role == "call" and "assistant" in allowed):
            raise RowError("row_roles")
        before = role
    if all(message["role"] != "user" for message in messages):
        raise RowError("row_no_question" if open_end else "row_roles")
    if open_end and before not in {"user", "tool"}:
        raise RowError("row_no_question")
    if not open_end and before not in {"assistant", "call"}:
        raise RowError("row_no_last_answer")
