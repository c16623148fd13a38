"""Move system texts and the assistant's greeting where a template has no place for them."""

from backend.datafiles.ordering import SEPARATOR
from backend.datafiles.turns import Message


def find_first_user(messages: list[Message]) -> int:
    """The index of the user's first turn; the number of messages where there is none."""
    roles = (at for at, message in enumerate(messages) if message["role"] == "user")
    return next(roles, len(messages))


def greets(messages: list[Message]) -> bool:
    """Whether the assistant speaks before the user does."""
    return any(message["role"] == "assistant" for message in messages[: find_first_user(messages)])


def insert_empty_question(messages: list[Message]) -> list[Message]:
    """Put an empty turn of the user before the greeting, for templates that begin with one."""
    at = next(at for at, message in enumerate(messages) if message["role"] == "assistant")
    return [*messages[:at], {"role": "user", "content": ""}, *messages[at:]]


def move_system_to_question(messages: list[Message]) -> list[Message]:
    """Move the system text at the begin to the front of the user's first turn."""
    system, *rest = messages
    at = find_first_user(rest)
    asked = {"role": "user", "content": ""} if at == len(rest) else rest[at]
    question = {**asked, "content": _join(system["content"], asked["content"])}
    return [*rest[:at], question, *rest[at + 1 :]]


def has_late_system(messages: list[Message]) -> bool:
    """Whether a system text comes after other turns."""
    return any(message["role"] == "system" for message in messages[1:])


def move_late_systems(messages: list[Message]) -> list[Message]:
    """Move system texts after other turns: to the front of the user's next turn, between a
    question and its answer to the end of the question, between two answers into a turn of the
    user."""
    placed: list[Message] = []
    waiting = ""
    for at, message in enumerate(messages):
        if message["role"] == "system" and at:
            waiting = _join(waiting, message["content"])
        elif waiting and message["role"] == "user":
            placed.append({**message, "content": _join(waiting, message["content"])})
            waiting = ""
        elif waiting and placed[-1]["role"] == "user":
            placed[-1] = {**placed[-1], "content": _join(placed[-1]["content"], waiting)}
            placed.append(message)
            waiting = ""
        else:
            placed += [{"role": "user", "content": waiting}] if waiting else []
            placed.append(message)
            waiting = ""
    return placed + ([{"role": "user", "content": waiting}] if waiting else [])


def _join(first: str, second: str) -> str:
    return SEPARATOR.join(part for part in (first, second) if part)
