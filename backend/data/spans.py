"""Which characters of a written conversation the assistant says: found by rendering, never guessed.

An answer is what the template writes after the prompt that would ask for it, up to and including
the token that ends it; the line break that many templates put behind that token is not learned.
Where a template writes earlier turns differently once others follow (thinking is dropped from
history), one conversation becomes one example an answer, each as it is asked for when chatting.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from backend.data import thoughts, turn_places
from backend.data.rendering import RENDER_ERRORS, Template, Tools
from backend.data.thoughts import END_THINK, THINK
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
class Written:
    """A text as the model sees it, and the answers in it in their order."""

    text: str
    spans: list[Span]


def written(
    template: Template, messages: list[Message], tools: Tools, last_only: bool = False
) -> list[Written]:
    """The conversation as one text (or one an answer, see above) with its answers.

    last_only: only the last answer is to be learned. Raises RowError where the template refuses
    the messages, or an answer cannot be found in what it writes.
    """
    try:
        ready, tools = template.fit(messages, tools)
        apart = template.thinks_in_content and any(map(find_thought, ready))
        whole = None if apart else _whole(template, ready, tools)
        if whole is None:
            return _split(template, ready, tools, last_only)
    except RENDER_ERRORS as error:
        if isinstance(error, RowError):
            raise
        raise RowError("row_template_refuses") from error
    if last_only:
        spans = [Span(span.start, span.end, False) for span in whole.spans[:-1]]
        return [Written(whole.text, [*spans, whole.spans[-1]])]
    return [whole]


def _whole(template: Template, messages: list[Message], tools: Tools) -> Written | None:
    """All answers in one text, or None where that is not how each of them is asked for.

    What the assistant says before the user does is not asked for: it is no answer.
    """
    text = template.write(messages, tools)
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or index < turn_places.first_user(messages):
            continue
        prompt = template.write(messages[:index], tools, True)
        if not text.startswith(prompt):
            return None
        last = index == len(messages) - 1
        until = text if last else template.write(messages[: index + 1], tools)
        end = (
            len(until)
            if text.startswith(until)
            else _end(template, (text, until), len(prompt), message)
        )
        if end < 0 or not _holds(text[len(prompt) : end], message):
            return None
        spans.append(_span(template, text, len(prompt), end, message))
    return Written(text, spans)


def _split(
    template: Template, messages: list[Message], tools: Tools, last_only: bool
) -> list[Written]:
    """One text an answer that is to be learned, each ending with it."""
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    texts = []
    for index in answers[-1:] if last_only else answers:
        message = messages[index]
        if message.get("train") is False:
            continue
        if template.thinks_in_content:
            message = thoughts.in_content(message)
        prompt = template.write(messages[:index], tools, True)
        text = prompt + _answer(template, messages[:index], tools, (prompt, message))
        texts.append(Written(text, [_span(template, text, len(prompt), len(text), message)]))
    return texts


def _answer(
    template: Template, asked: list[Message], tools: Tools, last: tuple[str, Message]
) -> str:
    """What the message has to say behind the prompt: as it is, else (thinking is off) without its
    thought, else (the prompt has opened a thought) with an empty one."""
    prompt, message = last
    whole = template.write([*asked, message], tools)
    if whole.startswith(prompt) and _holds(whole[len(prompt) :], message):
        return whole[len(prompt) :]
    opening = len(_common(template.write(asked, tools), prompt))
    for form in (message, *_other_forms(template, message)):
        text = template.write([*asked, form], tools)
        answer = _behind(prompt, prompt.rfind(str(asked[-1]["content"]).strip(), 0, opening), text)
        if answer is not None and _holds(answer, form):
            return _ended(template, answer.replace(PROBE, ""))
    if message.get("tool_calls"):
        return _call(prompt, opening, (whole, message))
    content = str(message["content"])
    if prompt.rstrip().endswith(THINK):
        if END_THINK not in content:
            content = f"\n{END_THINK}\n\n{content}"
        content = content.lstrip().removeprefix(THINK).removeprefix("\n")
    return content + template.end


def _other_forms(template: Template, message: Message) -> list[Message]:
    bare = thoughts.without(message)
    if bare != message:
        return [bare]
    probe = {**message, **dict.fromkeys(THOUGHTS, PROBE)}
    return [probe] if template.reads_thoughts else []


def _behind(prompt: str, start: int, whole: str) -> str | None:
    """What `whole` says behind the prompt, where the turns before may be written otherwise, too.

    `start`: where the last of these turns begins, which is the same in both. None where `whole`
    does not ask for the answer as the prompt does.
    """
    if whole.startswith(prompt):
        return whole[len(prompt) :]
    if start < 0:
        return None
    places = [match.start() for match in re.finditer(re.escape(prompt[start:]), whole)]
    before = prompt[:start][::-1]
    likeness = {at: len(_common(whole[:at][::-1], before)) for at in places}
    best = max(places, key=lambda at: (likeness[at], at), default=None)
    return None if best is None else whole[best + len(prompt) - start :]


def _call(prompt: str, opening: int, last: tuple[str, Message]) -> str:
    """A tool call behind a prompt that has written a thought's marks, which `whole` has not."""
    whole, message = last
    opened = prompt.rstrip().endswith(THINK)
    base = prompt[: prompt.rfind(THINK)] if opened else _common(prompt, whole)
    answer = whole.removeprefix(base)
    if len(base) <= opening or not whole.startswith(base) or not _holds(answer, message):
        raise RowError("row_template_unclear")
    if not opened:
        return answer
    answer = answer.removeprefix(THINK).lstrip().removeprefix(END_THINK).lstrip()
    return f"\n{END_THINK}\n\n{answer}"


def _common(left: str, right: str) -> str:
    """The begin that two texts share."""
    return os.path.commonprefix([left, right])  # noqa: RUF071 (characters are meant)


def _span(template: Template, text: str, start: int, end: int, message: Message) -> Span:
    """The answer between start and end, without what follows its end token."""
    answer = _ended(template, text[start:end])
    return Span(start, start + len(answer), message.get("train") is not False)


def _ended(template: Template, answer: str) -> str:
    """An answer without what follows its end token."""
    bare = answer.rstrip()
    return bare if template.ends and bare.endswith(template.ends) else answer


def _holds(written: str, message: Message) -> bool:
    """Whether the answer is in what the template wrote, blanks aside (templates trim)."""
    here = _squeezed(written)
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    names = [call["function"]["name"] for call in calls]
    content = _squeezed(str(message["content"])).removeprefix(THINK)  # the prompt may open it
    return content in here and all(name in written for name in names) and bool(here)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _end(template: Template, texts: tuple[str, str], start: int, message: Message) -> int:
    """Where an answer in texts[0] ends that is ended otherwise where it is the last (texts[1]).

    Some templates (glm4) let the next header end an answer: that header's token is learned as end.
    -1 where the answer itself is written otherwise, too, or where nothing here would end it.
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
    """What an answer says, for comparison with a prediction."""
    return answer_text(message)
