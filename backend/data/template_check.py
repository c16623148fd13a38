"""Check that the chosen template fits the model and the rows; each doubt is a notice."""

import re
from collections import Counter
from collections.abc import Sequence

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError
from backend.data.examples import Example
from backend.data.rendering import Template
from backend.data.spans import render_conversation
from backend.data.templates import difference
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import WANTED
from backend.datafiles.turns import OWN, THOUGHTS, Message, RowError, find_thought

MAX_FIELDS = 300  # characters of a list of fields
thought = re.compile(r"<think>(.+?)</think>", re.DOTALL)


def check(
    template: Template,
    own: str | None,
    values: Arguments,
    conversations: Sequence[Conversation],
    examples: Sequence[Example],
) -> list[Problem]:
    """The notices about a template, its own first. own: the tokenizer's own template (Jinja).

    Plain text (stage pt) needs no template, so there are none.
    """
    if values.stage == "pt":
        return []
    chats = [conversation for conversation in conversations if conversation.messages]
    notices = _compare_with_own(template, own, values, chats)
    superseded = (
        {"template_not_own"}
        if any(notice.code == "template_differs" for notice in notices)
        else set()
    )
    notices = [*(notice for notice in template.notices if notice.code not in superseded), *notices]
    if WANTED.get(values.stage) != "prompt" and examples and not _learns_end(template, examples):
        notices.append(_notice("template_end_not_learned"))
    if not template.knows_system:
        notices += _notice_count("template_folds_system", [_has_system(chat) for chat in chats])
    if not template.knows_tools:
        notices += _notice_count("template_tools_in_words", [_has_tools(chat) for chat in chats])
    return notices + _check_thoughts(template, chats) + _check_fields(template, chats)


def _compare_with_own(
    template: Template, own: str | None, values: Arguments, chats: list[Conversation]
) -> list[Problem]:
    """Compare a built-in template with the tokenizer's own, on these conversations."""
    name = values.template
    if not own or own == template.jinja or name == "auto":
        return []
    try:
        other = Template(template.tokenizer, own, values)
    except UsageError:
        return []
    differences = [
        difference(
            template, other, [*chat.asked, *([chat.answer] if chat.answer else [])], chat.tools
        )
        for chat in chats
    ]
    first = next((each for each in differences if each), None)
    if first is None:
        return []
    count = sum(each is not None for each in differences)
    return [
        _notice(
            "template_differs",
            name=name,
            count=count,
            rows=len(differences),
            ours=first[0],
            own=first[1],
        )
    ]


def _learns_end(template: Template, examples: Sequence[Example]) -> bool:
    """Whether any example learns a token that ends an answer."""
    stops = set(template.stop_ids)
    return any(
        not stops.isdisjoint(example.get(name, ()))
        for example in examples
        for name in ("labels", "chosen_labels")
    )


def _has_system(chat: Conversation) -> bool:
    return chat.messages[0]["role"] == "system"


def _has_tools(chat: Conversation) -> bool:
    return bool(chat.tools) or any(message.get("tool_calls") for message in chat.messages)


def _check_thoughts(template: Template, chats: list[Conversation]) -> list[Problem]:
    """Count the rows whose thoughts are dropped, and those of them that enable_thinking helps."""
    losing = [chat for chat in chats if _loses_thought(template, chat)]
    if not losing:
        return []
    thinking = template.with_thinking()
    helped = sum(not _loses_thought(thinking, chat) for chat in losing) if thinking else 0
    code = "template_drops_thoughts" if helped else "template_writes_no_thoughts"
    return [_notice(code, count=len(losing), rows=len(chats), kept=helped)]


def _loses_thought(template: Template, chat: Conversation) -> bool:
    """Whether a thought for which the template has a place is missing from all its texts."""
    messages = _all_messages(chat)
    thoughts = [thought for message in messages for thought in _thoughts(template, message)]
    if not any(thoughts) or messages[-1]["role"] != "assistant":
        return False
    try:
        text = "".join(each.text for each in render_conversation(template, messages, chat.tools))
    except RowError:
        return False
    return any(each not in text for each in thoughts)


def _all_messages(chat: Conversation) -> list[Message]:
    return [*chat.messages, *([chat.chosen] if chat.chosen else [])]


def _thoughts(template: Template, message: Message) -> list[str]:
    if message["role"] != "assistant":
        return []
    beside = "" if template.ignores(THOUGHTS[0]) else find_thought(message)
    return [each.strip() for each in (*thought.findall(message["content"]), beside)]


def _check_fields(template: Template, chats: list[Conversation]) -> list[Problem]:
    """A notice of the message fields that the template does not read, with their rows."""
    rows = [{name for message in _all_messages(chat) for name in message} for chat in chats]
    counts = Counter(name for names in rows for name in names - OWN if template.ignores(name))
    if not counts:
        return []
    fields = ", ".join(f"{name} ({count})" for name, count in counts.most_common())
    return [_notice("template_ignores_fields", fields=fields[:MAX_FIELDS], rows=len(rows))]


def _notice_count(code: str, hits: list[bool]) -> list[Problem]:
    return [_notice(code, count=sum(hits), rows=len(hits))] if any(hits) else []


def _notice(code: str, **params: str | int) -> Problem:
    return Problem(code=code, field="template", params=params, notice=True)
