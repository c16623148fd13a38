"""Send, Stop, Regenerate and Clear in the Chat tab: one answer is written at a time.

What is sent meanwhile stays in its box. A question that got no answer goes back there: the model
could not be loaded, it refused, or Stop was pressed before its first word.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form.form import Form
from app.i18n import t
from app.problems import problem_lines
from app.services.chat import chat_client, chat_turns
from app.services.chat.conversation import SIDES, Conversation, Talk, sides
from app.tabs.chat import columns, model_control
from app.tabs.shared.context import Context, in_turn
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import TuneboardError, UsageError, errors

OPTIONS: tuple[ArgumentName, ...] = ("temperature", "top_p", "top_k", "repetition_penalty")
DRAW_S = 0.15  # a browser that draws each token of a small model has no time for Stop
HIDDEN = gr.update(visible=False)


@dataclass(frozen=True)
class Page:
    """What an event knows of the page beside its own boxes."""

    talk: Talk
    lang: str
    turns: str
    as_it_is: bool
    both: bool

    @property
    def sides(self) -> Sequence[str]:
        """The columns that answer."""
        return sides(self.both)

    def read(self) -> Conversation:
        """What was said."""
        return Conversation.read(self.turns)

    def show(self, conversation: Conversation, waiting: str = "") -> list[Any]:
        """What the page holds of a conversation from now on, and both columns.

        waiting  what goes on before the first word of the next answer; "" where none is to come
        """
        pending = self._describe_pending(conversation, waiting) if waiting else None
        shown = columns.show(conversation, self.as_it_is, self.lang, pending)
        return [conversation.text(), *shown]

    def _describe_pending(self, conversation: Conversation, waiting: str) -> dict[str, str]:
        """What goes on in each column that has no answer yet: they answer one after the other."""
        words = [waiting, *[t("chat.waits_beside", self.lang)] * len(self.sides)]
        return dict(zip(conversation.list_open(self.sides), words, strict=False))

    def read_since(self, since: float) -> str:
        """What the model does before its first word, in words, with the time of its begin."""
        return t("chat.reading", self.lang, since=model_control.clock_time(since))

    def buttons(self) -> dict[str, Any]:
        """Send becomes Stop while an answer is written."""
        if self.talk.busy:
            return {"submit_btn": False, "stop_btn": t("chat.stop", self.lang)}
        return {"submit_btn": t("chat.send", self.lang), "stop_btn": False}

    def settle(self, words: str) -> list[Any]:
        """Updates of the message box, which holds these words, and of the role: Send or Stop, as
        the talk stands; a question that got no answer is there again."""
        question = self.talk.take_returned()
        if question is None:
            return [gr.update(**self.buttons()), gr.skip()]
        text = question["content"]
        text = f"{text}\n\n{words}" if words.strip() else text
        return [gr.update(value=text, **self.buttons()), question["role"]]

    def give_up(self, conversation: Conversation, words: str) -> list[Any]:
        """Say why there is no answer; what was asked goes back into its box, unless one column has
        answered."""
        if conversation.is_unanswered(self.sides):
            self.talk.returned = conversation.take_back(self.sides)
        return [*self.show(conversation), _note(words) if words else HIDDEN]

    def end(self, note: Any, conversation: Conversation | None = None) -> list[Any]:
        """The last word of an answer: the conversation, where it is still the page's; nothing is
        left of one that was cleared."""
        if self.talk.cleared:
            return ["", [], [], note]
        return [*(self.show(conversation) if conversation else [gr.skip()] * 3), note]


class Answering:
    """The events of one Chat tab. `wire` them once its parts are drawn."""

    def __init__(self, context: Context, form: Form, parts: dict[str, Any]) -> None:
        self._context, self._form, self._parts = context, form, parts
        self._talk = gr.State(Talk())

    def wire(self) -> None:
        """Wire the message box, the buttons of the columns, and the news of the model."""
        parts, lang = self._parts, self._context.lang
        page = [self._talk, lang, *(parts[name] for name in ("turns", "escape", "side_by_side"))]
        box, words = [parts["message"], parts["role"]], [*page, parts["message"]]
        shown = [parts[name] for name in ("turns", "tuned", "base", "note")]
        changed = [*box, *shown, parts["status"], parts["load"]]
        repeat = [*page, *self._form.inputs]
        begun = [
            parts["message"].submit(self._ask, [*page, *box, *self._form.inputs], changed, **QUIET),
            *(parts[side].retry(self._ask_again, repeat, changed, **QUIET) for side in SIDES),
        ]
        sampled = [*page, *(parts[n] for n in ("system", "seed", "tools")), *self._form.inputs]
        quiet = {**QUIET, "trigger_mode": "multiple"}
        answered = [event.then(self._answer, sampled, shown, **quiet) for event in begun]
        answered.append(self._context.news.chat.change(self._answer, sampled, shown, **quiet))
        for event in answered:
            event.then(_settle, words, box, **quiet)
        lang.change(_settle, words, box, **QUIET)
        parts["message"].stop(_stop, words, [*box, *shown], **QUIET)
        for side in SIDES:
            parts[side].clear(_clear, page, [*box, *shown], **QUIET)

    @in_turn("talk")
    def _ask(self, *box_values: Any) -> list[Any]:
        """Put what is typed at the end of the conversation, and load the model where that is
        needed."""
        page, (words, role, *values) = Page(*box_values[:5]), box_values[5:]
        if page.talk.busy or not words.strip():
            return _refuse(page) if page.talk.busy else [gr.skip()] * 8
        conversation = page.read()
        conversation.ask({"role": role, "content": words}, page.sides)
        return self._begin(page, conversation, values, {"value": ""})

    @in_turn("talk")
    def _ask_again(self, *box_values: Any) -> list[Any]:
        """Take the last answers away, to be written anew."""
        page, values = Page(*box_values[:5]), box_values[5:]
        if page.talk.busy:
            return _refuse(page)
        conversation = page.read()
        if not conversation.drop_answers():
            return [gr.skip()] * 8
        return self._begin(page, conversation, values, {})

    def _begin(
        self, page: Page, conversation: Conversation, values: Sequence[Any], box: dict[str, Any]
    ) -> list[Any]:
        if wrong := model_control.prepare(self._form, values):
            return [*[gr.skip()] * 6, problem_lines(wrong, page.lang), gr.skip()]
        page.talk.ask()
        message = gr.update(**box, **page.buttons())
        state = model_control.describe(page.lang)
        waiting = model_control.describe_loading(page.lang) or page.read_since(time.time())
        return [message, "user", *page.show(conversation, waiting), HIDDEN, *state]

    def _answer(self, *box_values: Any) -> Iterator[list[Any]]:
        """Write the answers once the model is ready; nothing where none is asked for."""
        page, (system, *sampling) = Page(*box_values[:5]), box_values[5:]
        talk, conversation = page.talk, page.read()
        state = chat_client.status().state if talk.waits else ""
        if state in {"none", "failed"}:
            talk.stop()
            yield page.give_up(conversation, "")
            return
        question = talk.begin() if state == "ready" else None
        if question is None:
            yield page.end(gr.skip())
            return
        problems: list[str] = []
        note = HIDDEN
        try:
            options = _options(self._form, *sampling)
            for since in _write(conversation, page, system, options, problems):
                if not talk.goes_on(question):
                    break
                yield [*page.show(conversation, page.read_since(since)), note]
                note = gr.skip()
        except TuneboardError as error:
            problems.append(problem_lines(error.problems, page.lang))
        finally:
            is_wanted = talk.goes_on(question)
            talk.end(question)
        # What is still on its way to the page comes before this.
        words = "\n".join(dict.fromkeys(problems))
        if is_wanted and words:
            yield page.give_up(conversation, words)
        else:
            yield page.end(HIDDEN, conversation if is_wanted else None)


def _refuse(page: Page) -> list[Any]:
    """Say what the message waits for; it stays in its box."""
    key = "chat.still_loading" if page.talk.waits else "chat.busy"
    return [*[gr.skip()] * 5, _note(t(key, page.lang)), gr.skip(), gr.skip()]


def _settle(*box_values: Any) -> list[Any]:
    page, words = Page(*box_values[:5]), box_values[5]
    return page.settle(words)


@in_turn("talk")
def _stop(*box_values: Any) -> list[Any]:
    page, words = Page(*box_values[:5]), box_values[5]
    was_busy, shown = page.talk.busy, [gr.skip()] * 3
    page.talk.stop()
    conversation = page.read()
    if was_busy and conversation.is_unanswered(page.sides):
        page.talk.returned = conversation.take_back(page.sides)
        shown = page.show(conversation)
    return [*page.settle(words), *shown, HIDDEN]


@in_turn("talk")
def _clear(*box_values: Any) -> list[Any]:
    page = Page(*box_values[:5])
    page.talk.clear()
    return [gr.update(**page.buttons()), gr.skip(), *page.show(Conversation()), HIDDEN]


def _note(words: str) -> Any:
    return gr.update(visible=True, value=words)


def _options(form: Form, seed: str, tools: str, *box_values: Any) -> dict[str, Any]:
    """How an answer is to be sampled, as the API takes it. Raises UsageError."""
    values, problems = form.values(box_values)
    if errors(problems):
        raise UsageError(*errors(problems))
    return {
        **{name: values[name] for name in OPTIONS},
        "max_tokens": resolve(values).max_new_tokens,
        "seed": chat_turns.parse_seed(seed),
        "tools": chat_turns.parse_tools(tools) or None,
    }


def _write(
    conversation: Conversation,
    page: Page,
    system: str,
    options: dict[str, Any],
    problems: list[str],
) -> Iterator[float]:
    """Add answers to the conversation as the tokens come: the tuned one first, then the base's.

    Yields when the answer was asked for, in seconds since 1970. What goes wrong in one column is
    added to `problems`; an answer that had begun is kept.
    """
    for side in page.sides:
        turns = conversation.column(side)
        if not turns or turns[-1]["role"] == "assistant":
            continue
        messages = chat_turns.messages(turns, system)
        turns.append({"role": "assistant", "content": ""})
        since = time.time()
        yield since
        drawn = 0.0
        try:
            for piece in chat_client.stream(_model(side), messages, options):
                turns[-1]["content"] += piece
                if time.monotonic() - drawn >= DRAW_S:
                    yield since
                    drawn = time.monotonic()
        except TuneboardError as error:
            problems.append(problem_lines(error.problems, page.lang))
            if not turns[-1]["content"]:
                turns.pop()
        yield since


def _model(side: str) -> str:
    """What the child calls the model of a column. Raises TuneboardError: there is none."""
    names = chat_client.models()
    return "base" if side == "base" and "base" in names else names[0]
