"""Start, problems and the live command: the same for Train, Evaluate and Export."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.form import Form, problem_lines
from app.tabs.shared import answer, message
from app.tabs.shared.context import Context
from backend.contract.arguments.arguments import judged, resolved
from backend.contract.arguments.command import PROGRAM, Command
from backend.contract.arguments.field import Values
from backend.contract.base.home import home
from backend.contract.base.problems import Problem, TuneboardError
from backend.contract.launching import launch
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import run_folder

MODEL_NAME, RUN_NAME = "model_name", "run_name"  # boxes that are no arguments
BY_TIME = re.compile(r"[a-z]+_\d{4}(-\d\d){5}")


class Launcher:
    """The side column's upper part of one tab; `draw` it, then `wire` it to a run box.

    `name` is the box with the run's name; without one the name follows from the time.
    """

    def __init__(self, task: str, form: Form, context: Context, name: Any = None) -> None:
        self.task = task
        self.form = form
        self.context = context
        self.name = gr.State("") if name is None else name
        self.start: Any = None
        self.problems: Any = None
        self.answer: Any = None
        self.command: Any = None

    def draw(self) -> None:
        """Draw Start, the problems and the command."""
        texts, prefix = self.context.texts, self.form.prefix
        self.start = texts.make(
            gr.Button, {"value": f"start.{self.task}"}, variant="primary", elem_id=f"{prefix}start"
        )
        self.answer = answer.draw(texts, self.start, f"{prefix}answer")
        self.problems = message.start_problems(texts, f"{prefix}problems")
        self.command = texts.make(
            gr.Code,
            {"label": "start.command"},
            value=f"{PROGRAM} {self.task}",
            interactive=False,
            lines=2,
            max_lines=14,
            wrap_lines=True,
            show_line_numbers=False,
            elem_id=f"{prefix}command",
        )

    def wire(self, run: Any) -> Any:
        """Judge and preview on each change; Start, the event returned, puts a folder into `run`."""
        shown, pressed = gr.State({}), gr.State(None)  # what was pressed with and refused
        form, context = self.form, self.context
        inputs = [context.lang, shown, pressed, context.model_name, self.name, *form.components]
        told = [self.command, self.problems, self.start, self.answer.box, pressed, shown]
        keep = self._keep(inputs)
        for events in self._events():
            gr.on(
                events,
                self._refresh,
                inputs,
                [*told, *form.outputs],
                js=keep,
                show_progress="hidden",
                trigger_mode="always_last",
                api_visibility="private",
            )
        self.answer.hear(context)
        outputs = [run, self.name, pressed, *self.answer.outputs]
        started = self.start.click(self._start, inputs, outputs, api_visibility="private")
        self.answer.wire(context, started)
        places = f"'#{self.form.prefix or 'train-'}run', '#{self.form.prefix}answer'"
        started.then(None, None, None, js=f"() => tuneboard.show({places})")
        return started

    def _keep(self, inputs: list[Any]) -> str:
        """Keep the form in the browser, by the script of the event with these inputs; a name by the
        time is a new one at each opening."""
        bar = self.context.bar.widgets
        boxes = dict(self.form.widgets)
        if isinstance(self.name, gr.State):
            own = {name: box for name, box in boxes.items() if name not in bar}
            return self.context.keeper.add_with(self.task, own, inputs)

        def named(values: dict[str, Any]) -> dict[str, Any]:
            typed = str(values.get(RUN_NAME, ""))
            chosen = typed and not BY_TIME.fullmatch(typed)
            return {**values, RUN_NAME: typed if chosen else new_name(self.task)}

        boxes |= {MODEL_NAME: self.context.model_name, RUN_NAME: self.name}
        return self.context.keeper.add_with(self.task, boxes, inputs, named)

    def _boxes(self) -> list[Any]:
        """All that the run follows from."""
        named = [] if isinstance(self.name, gr.State) else [self.name]
        return [*self.form.components, self.context.model_name, *named]

    def _events(self) -> list[list[Any]]:
        """What changes the form: its own boxes, and what other forms listen to as well."""
        common = [*self.context.bar.components, self.context.model_name]
        own = [box.change for box in self._boxes() if box not in common]
        shared = [box.change for box in self._boxes() if box in common]
        return [own, [*shared, self.context.lang.change, gr.context.Context.root_block.load]]

    def _refresh(
        self, lang: str, before: Any, pressed: Any, model: str | None, name: str, *given: Any
    ) -> list[Any]:
        values, problems = self.judge(given, model, name)
        marks, now = self.form.marks(values, problems, before, lang)
        errors = [problem for problem in problems if not problem.notice]
        forget = [gr.update(visible=False), None]
        return [
            Command.build(self.task, values).shell(),
            gr.update(visible=bool(errors), value=problem_lines(errors, lang)),
            gr.update(interactive=not errors),
            *(forget if pressed not in (None, [model, name, *given]) else [gr.skip()] * 2),
            now,
            *marks,
        ]

    def _start(
        self, lang: str, _: Any, __: Any, model: str | None, name: str, *given: Any
    ) -> list[Any]:
        values, problems = self.judge(given, model, name)
        errors = [problem for problem in problems if not problem.notice]
        if not errors:
            try:
                folder = launch.start(self.task, values, exclusive=True)
                return [str(folder), new_name(self.task), None, *answer.started()]
            except TuneboardError as error:
                errors = list(error.problems)
        pressed = [model, name, *given]
        return [gr.skip(), gr.skip(), pressed, *answer.refused(errors, lang)]

    def judge(
        self, given: Sequence[Any], model: str | None, name: str | None
    ) -> tuple[Values, list[Problem]]:
        """Values with the output folder, and every problem and notice."""
        values, problems = self.form.values(given)
        run_name = (name or "").strip() or new_name(self.task)
        if "output_dir" in values and not resolved(values).output_dir:
            values = {**values, "output_dir": self._output_dir(model, values, run_name)}
        problems = judged(values, problems, self.task)
        bad_name = run_folder.check_name(run_name)
        if bad_name:
            return values, [*problems, bad_name]
        wrong = {problem.field for problem in problems if not problem.notice}
        return values, problems + [
            problem for problem in check_paths(values, self.task) if problem.field not in wrong
        ]

    def _output_dir(self, model: str | None, values: Values, run_name: str) -> str:
        """saves/<model name>/<method>/<run name>, relative to the working folder."""
        parent = launch.default_output_dir(values, self.task, model or None).parent
        inside = parent.relative_to(home()) if parent.is_relative_to(home()) else parent
        return f"{inside}/{run_name}"


def new_name(task: str) -> str:
    """A name for the next run: what it is and when."""
    return f"{task}_{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
