"""What a press of a start button has come to: in a place of its own until the person acts.

A press is heard at once, in the browser; the answer stays until the next press, a change of the
form, or until what it says is no longer so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form.component import make_call
from app.i18n import Texts, languages, t
from app.problems import problem_lines
from app.services.runs import runs
from app.tabs.shared import message
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.base.problems import Problem

IN_WAY = "run_in_way"


@dataclass(frozen=True)
class Answer:
    """The button, the box beside it, and the problems that the box tells."""

    button: Any
    box: Any
    problems: Any

    @property
    def outputs(self) -> list[Any]:
        """What `started` and `refused` fill."""
        return [self.button, self.box, self.problems]

    def hear(self) -> None:
        """Say at once, in the browser, that a press was heard. To be called before the event of the
        start is wired: of several listeners to a press, Gradio calls one after the other.
        """
        words = {lang: t("start.heard", lang) for lang in languages()}
        heard = make_call("answer", "hear", words)
        self.button.click(None, None, [self.button, self.box], js=heard, **QUIET)

    def wire(self, context: Context, start: Any, edits: Sequence[Any] = ()) -> None:
        """`start` is the event of the start, `edits` are those that make its answer obsolete."""
        start.failure(None, None, [self.button, self.box], js=make_call("answer", "free"), **QUIET)
        if edits:
            forget = make_call("answer", "forget", self.box.elem_id)
            gr.on([*edits], None, None, self.box, js=forget, **QUIET)
        gr.on(
            [context.news.runs.change, context.lang.change],
            self._again,
            [context.lang, self.problems],
            [self.box, self.problems],
            **QUIET,
        )

    def _again(self, lang: str, problems: Sequence[Problem]) -> list[Any]:
        """The answer in another language; it goes once the run that was in the way has ended."""
        if not problems:
            return [gr.skip(), gr.skip()]
        if is_over(problems):
            return [gr.update(visible=False), ()]
        return [gr.update(value=problem_lines(problems, lang)), gr.skip()]


def draw(texts: Texts, button: Any, elem_id: str) -> Answer:
    """Draw the box below a start button."""
    return Answer(button, message.problem(texts, elem_id, "answer"), gr.State(()))


def is_over(problems: Sequence[Problem]) -> bool:
    """Whether what refused a start is no longer so: the run that was in the way has ended."""
    return problems[0].code == IN_WAY and not runs.is_any_going()


def started() -> list[Any]:
    """Values of an answer's outputs: it was started."""
    return [gr.update(interactive=True), gr.update(visible=False, value=""), ()]


def refused(problems: Sequence[Problem], lang: str) -> list[Any]:
    """Values of an answer's outputs: it was not started, for these reasons."""
    words = gr.update(visible=True, value=problem_lines(problems, lang))
    return [gr.update(interactive=True), words, tuple(problems)]
