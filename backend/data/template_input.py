"""Fit messages to what a template reads: digits of numbers, thoughts, the places of turns.

Digits: a template would write a row's 1.50 as 1.5, because Jinja's and transformers' tojson write
any float as Python does. So each number that its file writes otherwise (values.Number) is rendered
as a stand-in, a float with random digits, which is replaced in the text afterwards. For the
template, arguments of calls, schemas of tools and further fields are still numbers.

Thoughts: rows and clients call a message's reasoning reasoning_content, thinking or reasoning. A
template gets it under each of these names that it reads (transformers does so, too). For a template
that reads none of them but has </think>, an answer that is learned has the thought in its content,
as such models write it.

Places: system texts and the assistant's greeting move where a template has no place for them.
"""

import re
import secrets
from typing import Any

from backend.data.template_fields import Reads
from backend.datafiles.ordering import SEPARATOR
from backend.datafiles.turns import THOUGHTS, Message, find_thought
from backend.datafiles.values import Number

START = 2 * 10**14 + secrets.randbelow(10**14)  # 15 digits: as many as any float keeps
stand_in = re.compile(r"[2-9]\.\d+e\+214")

Digits = dict[str, str]  # a stand-in as it is written -> the digits of the row


def hide(value: Any, digits: Digits) -> Any:
    """The value with stand-ins for its numbers, which are added to `digits`."""
    if isinstance(value, str):
        return value
    if isinstance(value, Number):
        made = float(f"{START + len(digits)}e200")
        digits[repr(made)] = value.text
        return made
    if isinstance(value, dict):
        return {key: hide(each, digits) for key, each in value.items()}
    if isinstance(value, list):
        return [hide(each, digits) for each in value]
    return value


def show(text: str, digits: Digits) -> str:
    """The text with the digits of the row in place of the stand-ins."""
    if not digits:
        return text
    return stand_in.sub(lambda match: digits.get(match[0], match[0]), text)


THINK, END_THINK = "<think>", "</think>"


def name_thought(message: Message, reads: Reads) -> Message:
    """The message with its thought under each of its names that the template reads."""
    thought = find_thought(message)
    if not thought:
        return message
    names = [name for name in THOUGHTS if not reads.ignores(name)]
    return {**message, **{name: message.get(name) or thought for name in names}}


def put_in_content(message: Message) -> Message:
    """The message with its thought at the begin of its content, between THINK and END_THINK."""
    thought = find_thought(message).strip("\n")
    if not thought or END_THINK in message["content"]:
        return message
    rest = {name: value for name, value in message.items() if name not in THOUGHTS}
    return {**rest, "content": f"{THINK}\n{thought}\n{END_THINK}\n\n{message['content']}"}


def remove_thought(message: Message) -> Message:
    """The message without its thought, wherever that stands."""
    rest = {name: value for name, value in message.items() if name not in THOUGHTS}
    thought, end, answer = str(rest["content"]).partition(END_THINK)
    if end and thought.lstrip().startswith(THINK):
        rest["content"] = answer.lstrip("\n")
    return rest


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
