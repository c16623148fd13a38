"""Turns in places that a template has none for: system texts, a greeting of the assistant."""

from backend.datafiles.ordering import SEPARATOR
from backend.datafiles.turns import Message


def first_user(messages: list[Message]) -> int:
    """The number of the user's first turn; how many messages there are where there is none."""
    roles = (at for at, message in enumerate(messages) if message["role"] == "user")
    return next(roles, len(messages))


def greets(messages: list[Message]) -> bool:
    """Whether the assistant speaks before the user does."""
    return any(message["role"] == "assistant" for message in messages[: first_user(messages)])


def after_nobody(messages: list[Message]) -> list[Message]:
    """The greeting as an answer to an empty turn of the user, for templates that begin with one."""
    at = next(at for at, message in enumerate(messages) if message["role"] == "assistant")
    return [*messages[:at], {"role": "user", "content": ""}, *messages[at:]]


def in_question(messages: list[Message]) -> list[Message]:
    """The system text at the begin in front of the user's first words."""
    system, *rest = messages
    at = first_user(rest)
    asked = {"role": "user", "content": ""} if at == len(rest) else rest[at]
    question = {**asked, "content": _joined(system["content"], asked["content"])}
    return [*rest[:at], question, *rest[at + 1 :]]


def late_system(messages: list[Message]) -> bool:
    """Whether a system text stands behind other turns."""
    return any(message["role"] == "system" for message in messages[1:])


def in_user_turns(messages: list[Message]) -> list[Message]:
    """System texts behind other turns in front of the user's next words; between a question and
    its answer behind the question; between two answers as a turn of the user."""
    placed: list[Message] = []
    waiting = ""
    for at, message in enumerate(messages):
        if message["role"] == "system" and at:
            waiting = _joined(waiting, message["content"])
        elif waiting and message["role"] == "user":
            placed.append({**message, "content": _joined(waiting, message["content"])})
            waiting = ""
        elif waiting and placed[-1]["role"] == "user":
            placed[-1] = {**placed[-1], "content": _joined(placed[-1]["content"], waiting)}
            placed.append(message)
            waiting = ""
        else:
            placed += [{"role": "user", "content": waiting}] if waiting else []
            placed.append(message)
            waiting = ""
    return placed + ([{"role": "user", "content": waiting}] if waiting else [])


def _joined(first: str, second: str) -> str:
    return SEPARATOR.join(part for part in (first, second) if part)
