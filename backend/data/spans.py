"""Render a conversation and find its answers in the text, by rendering it in parts.

An answer is what the template writes after the prompt that would ask for it, up to and including
the token that ends it; the line break that many templates put behind that token is not learned.
Where a template writes earlier turns differently once others follow (thinking is dropped from
history), a conversation becomes one text for each answer, with the prompt as it is in a chat.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from backend.data import template_input
from backend.data.rendering import RENDER_ERRORS, Template, Tools
from backend.data.template_input import END_THINK, THINK
from backend.data.toolcalls import answer_text
from backend.datafiles.turns import THOUGHTS, Message, RowError, find_thought

PROBE = "Thought-7351"


@dataclass(frozen=True)
class Span:
    """Characters start to end of a text; learn is False where the row says `train: false`."""

    start: int
    end: int
    learn: bool = True


@dataclass(frozen=True)
class RenderedText:
    """A text as the model sees it, and the answers in it in their order."""

    text: str
    spans: list[Span]


def render_conversation(
    template: Template, messages: list[Message], tools: Tools, last_only: bool = False
) -> list[RenderedText]:
    """Render the conversation as one text (or one for each answer, see above) with its answers.

    last_only: only the last answer is to be learned. Raises RowError where the template refuses
    the messages, or an answer cannot be found in the text.
    """
    try:
        ready, tools = template.fit(messages, tools)
        apart = any(map(find_thought, ready)) and template.thinks_in_content
        whole = None if apart else _render_whole(template, ready, tools)
        if whole is None:
            return _render_each_answer(template, ready, tools, last_only)
    except RENDER_ERRORS as error:
        if isinstance(error, RowError):
            raise
        raise RowError("row_template_refuses") from error
    if last_only:
        spans = [Span(span.start, span.end, False) for span in whole.spans[:-1]]
        return [RenderedText(whole.text, [*spans, whole.spans[-1]])]
    return [whole]


class _SingleTexts:
    """As turn_marks.Turns, for conversations whose texts must be rendered one by one."""

    def __init__(self, template: Template, messages: list[Message], tools: Tools) -> None:
        self.text = template.write(messages, tools)
        self._template, self._messages, self._tools = template, messages, tools

    def prompt(self, index: int) -> str:
        """The turns before this one, with a prompt for an answer."""
        return self._template.write(self._messages[:index], self._tools, True)

    def until(self, index: int) -> str:
        """The turns up to and with this one."""
        if index + 1 == len(self._messages):
            return self.text
        return self._template.write(self._messages[: index + 1], self._tools)


def _render_whole(template: Template, messages: list[Message], tools: Tools) -> RenderedText | None:
    """Render all answers in one text; None where one of their prompts would differ in a chat.

    What the assistant says before the user's first turn has no prompt and is no answer.
    """
    turns = template.write_turns(messages, tools) or _SingleTexts(template, messages, tools)
    text = turns.text
    first_user = template_input.find_first_user(messages)
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or index < first_user:
            continue
        prompt = turns.prompt(index)
        if not text.startswith(prompt):
            return None
        until = turns.until(index)
        end = (
            len(until)
            if text.startswith(until)
            else _find_end(template, (text, until), len(prompt), message)
        )
        if end < 0 or not _holds(text[len(prompt) : end], message):
            return None
        spans.append(_answer_span(template, text, len(prompt), end, message))
    return RenderedText(text, spans)


def _render_each_answer(
    template: Template, messages: list[Message], tools: Tools, last_only: bool
) -> list[RenderedText]:
    """Render one text for each answer that is to be learned, which ends with it."""
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    texts = []
    for index in answers[-1:] if last_only else answers:
        message = messages[index]
        if message.get("train") is False:
            continue
        if template.thinks_in_content:
            message = template_input.put_in_content(message)
        prompt = template.write(messages[:index], tools, True)
        text = prompt + _render_answer(template, messages[:index], tools, (prompt, message))
        texts.append(
            RenderedText(text, [_answer_span(template, text, len(prompt), len(text), message)])
        )
    return texts


def _render_answer(
    template: Template, asked: list[Message], tools: Tools, last: tuple[str, Message]
) -> str:
    """Render the answer behind its prompt: as it is, else (thinking is off) without its thought,
    else (the prompt has opened a thought) with an empty one."""
    prompt, message = last
    whole = template.write([*asked, message], tools)
    if whole.startswith(prompt) and _holds(whole[len(prompt) :], message):
        return whole[len(prompt) :]
    opening = len(_common_prefix(template.write(asked, tools), prompt))
    for form in (message, *_other_forms(template, message)):
        text = template.write([*asked, form], tools)
        answer = _text_behind(
            prompt, prompt.rfind(str(asked[-1]["content"]).strip(), 0, opening), text
        )
        if answer is not None and _holds(answer, form):
            return _cut_after_end(template, answer.replace(PROBE, ""))
    if message.get("tool_calls"):
        return _render_call(prompt, opening, (whole, message))
    content = str(message["content"])
    if prompt.rstrip().endswith(THINK):
        if END_THINK not in content:
            content = f"\n{END_THINK}\n\n{content}"
        content = content.lstrip().removeprefix(THINK).removeprefix("\n")
    return content + template.end


def _other_forms(template: Template, message: Message) -> list[Message]:
    bare = template_input.remove_thought(message)
    if bare != message:
        return [bare]
    probe = {**message, **dict.fromkeys(THOUGHTS, PROBE)}
    return [probe] if template.reads_thoughts else []


def _text_behind(prompt: str, start: int, whole: str) -> str | None:
    """The text of `whole` behind the prompt, also where earlier turns are rendered differently.

    start: where the last turn before the answer begins, from which on both must be the same. None
    where `whole` does not have this end of the prompt.
    """
    if whole.startswith(prompt):
        return whole[len(prompt) :]
    if start < 0:
        return None
    places = [match.start() for match in re.finditer(re.escape(prompt[start:]), whole)]
    before = prompt[:start][::-1]
    likeness = {at: len(_common_prefix(whole[:at][::-1], before)) for at in places}
    best = max(places, key=lambda at: (likeness[at], at), default=None)
    return None if best is None else whole[best + len(prompt) - start :]


def _render_call(prompt: str, opening: int, last: tuple[str, Message]) -> str:
    """Render a tool call behind a prompt that has the marks of a thought, which `whole` has not."""
    whole, message = last
    opened = prompt.rstrip().endswith(THINK)
    base = prompt[: prompt.rfind(THINK)] if opened else _common_prefix(prompt, whole)
    answer = whole.removeprefix(base)
    if len(base) <= opening or not whole.startswith(base) or not _holds(answer, message):
        raise RowError("row_template_unclear")
    if not opened:
        return answer
    answer = answer.removeprefix(THINK).lstrip().removeprefix(END_THINK).lstrip()
    return f"\n{END_THINK}\n\n{answer}"


def _common_prefix(left: str, right: str) -> str:
    """The longest common beginning of two texts."""
    return os.path.commonprefix([left, right])  # noqa: RUF071 (characters are meant)


def _answer_span(template: Template, text: str, start: int, end: int, message: Message) -> Span:
    """The answer between start and end, without what follows its end token."""
    answer = _cut_after_end(template, text[start:end])
    return Span(start, start + len(answer), message.get("train") is not False)


def _cut_after_end(template: Template, answer: str) -> str:
    """An answer without what follows its end token."""
    bare = answer.rstrip()
    return bare if template.ends and bare.endswith(template.ends) else answer


def _holds(written: str, message: Message) -> bool:
    """Whether the rendered text has the answer, apart from blanks (which templates trim)."""
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    if not written.strip() or not all(call["function"]["name"] in written for call in calls):
        return False
    content = str(message["content"])
    if content in written:
        return True
    return _squeeze(content).removeprefix(THINK) in _squeeze(written)  # the prompt may open it


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _find_end(template: Template, texts: tuple[str, str], start: int, message: Message) -> int:
    """Find the end of an answer in texts[0] whose end differs where it is the last (texts[1]).

    Some templates (glm4) let the next header end an answer; the token of that header is learned as
    the end. -1 where the answer itself differs, too, or has no such end.
    """
    text, until = texts
    content = str(message["content"]).strip()
    at = text.find(content, start)
    if message.get("tool_calls") or at < 0 or text[start:at].strip():
        return -1
    end = at + len(content)
    if text[:end] != until[:end]:
        return -1
    following = next((end_text for end_text in template.ends if text.startswith(end_text, end)), "")
    return end + len(following) if following or not template.end else -1


def label_text(message: Message) -> str:
    """The text of an answer, for comparison with a prediction."""
    return answer_text(message)
