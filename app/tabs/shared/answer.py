"""What a press of a start button has come to: in a place of its own until the person acts.

A press is heard at once, in the browser; the answer stays until the next press, a change of the
form, or until what it says is no longer so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form.component import make_call, tell
from app.i18n import TextKeys, Texts
from app.problems import problem_lines
from app.services.runs import runs
from app.tabs.shared import message
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.folders.home import home
from backend.contract.launching import launch
from backend.contract.texts.problems import Problem

IN_WAY = "run_in_way"
OFFERS = ("queue", "instead")


@dataclass(frozen=True)
class Answer:
    """The button, the box beside it, what may be done where a run is in the way (the row of the
    offers "queue" and "instead"), and the problems that the box tells."""

    button: Any
    box: Any
    row: Any
    offers: dict[str, Any]
    problems: Any

    @property
    def outputs(self) -> list[Any]:
        """What `started` and `refused` fill."""
        return [self.button, self.box, self.row, self.problems]

    def hear(self) -> None:
        """Say at once, in the browser, that a press was heard. To be called before the event of the
        start is wired: of several listeners to a press, Gradio calls one after the other.
        """
        heard = make_call("answer", "hear", tell(self.box, {"heard": TextKeys("start.heard")}))
        for button in (self.button, *self.offers.values()):
            button.click(None, None, [self.button, self.box, self.row], js=heard, **QUIET)

    def wire(self, context: Context, starts: Sequence[Any], edits: Sequence[Any]) -> None:
        """`starts` are the events of the start, `edits` those that make its answer obsolete."""
        parts = [self.button, self.box, self.row]
        for start in starts:
            start.failure(None, None, parts, js=make_call("answer", "free"), **QUIET)
        forget = make_call("answer", "forget", self.box.elem_id)
        gr.on([*edits], None, None, [self.box, self.row], js=forget, **QUIET)
        gr.on(
            [context.news.runs["recipes"].change, context.lang.change],
            self._again,
            [context.lang, self.problems],
            [self.box, self.row, self.problems],
            **QUIET,
        )

    def _again(self, lang: str, problems: Sequence[Problem]) -> list[Any]:
        """The answer in another language; it goes once the run that was in the way has ended."""
        if not problems:
            return [gr.skip()] * 3
        if is_over(problems):
            return [gr.update(visible=False), gr.update(visible=False), ()]
        return [gr.update(value=problem_lines(problems, lang)), gr.skip(), gr.skip()]


def draw(texts: Texts, button: Any, elem_id: str) -> Answer:
    """Draw the box below a start button, and the offers below that."""
    box = message.problem(texts, elem_id, "answer")
    with gr.Row(visible=False, elem_classes="offers") as row:
        offers = {
            name: texts.make(
                gr.Button, {"value": f"start.{name}"}, size="sm", elem_id=f"{elem_id}-{name}"
            )
            for name in OFFERS
        }
    return Answer(button, box, row, offers, gr.State(()))


def offers_queue(problems: Sequence[Problem]) -> bool:
    """Whether what refused a start ends by itself, so that the start may wait for it."""
    return bool(runs_in_way(problems))


def runs_in_way(problems: Sequence[Problem]) -> list[str]:
    """The runs that were in the way of a start, as the problems name them."""
    return [str(problem.params["run"]) for problem in problems if problem.code == IN_WAY]


def stop_in_way(problems: Sequence[Problem]) -> None:
    """Ask the run that was in the way of a start to save and end."""
    stop_runs(runs_in_way(problems))


def stop_runs(names: Iterable[str]) -> None:
    """Ask the runs of these names to save and end; other folders are left alone."""
    for name in names:
        folder = runs.find_folder(str(home() / name))
        if folder:
            launch.stop(folder)
    runs.forget()


def is_over(problems: Sequence[Problem]) -> bool:
    """Whether what refused a start is no longer so: the run that was in the way has ended."""
    return problems[0].code == IN_WAY and not runs.is_any_going()


def show_started() -> list[Any]:
    """Make the values of an answer's outputs for a run that was started."""
    hidden = gr.update(visible=False)
    return [gr.update(interactive=True), gr.update(visible=False, value=""), hidden, ()]


def show_refused(problems: Sequence[Problem], lang: str) -> list[Any]:
    """Make the values of an answer's outputs for a start that was refused for these reasons."""
    words = gr.update(visible=True, value=problem_lines(problems, lang))
    offers = gr.update(visible=offers_queue(problems))
    return [gr.update(interactive=True), words, offers, tuple(problems)]
