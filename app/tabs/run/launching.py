"""Start, problems and the live command: the same for Train, Evaluate, Export and New words."""

import datetime
from collections.abc import Callable, Collection, Sequence
from typing import Any

import gradio as gr

from app.form.component import make_component
from app.form.extra_arguments import BOX, name_arguments
from app.form.form import Form, Raw
from app.form.schema import OwnField
from app.form.values import check, display
from app.i18n import TextKeys, languages, t
from app.problems import problem_lines, text_beside_field
from app.services.page.row_values import RowValues
from app.services.runs import runs
from app.tabs.run.memory_questions import make_questions
from app.tabs.shared.answer import offers_queue, stop_in_way
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.arguments import check_parsed, resolve
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import home
from backend.contract.launching import launch
from backend.contract.preflight import estimates
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import run_folder
from backend.contract.texts.problems import Problem, TuneboardError, errors

Suggest = Callable[[Raw], Raw]
Follow = Callable[[Values, Collection[str]], RowValues]
IDLE = {"state": "idle", "texts": {}, "how": "", "offers": False}
RUN_NAME = OwnField("run_name", "text", "train.run_name", "train.run_name_help")


class Launcher:
    """The side column's upper part of one tab; `draw` it, then `wire` it to a run box."""

    def __init__(
        self,
        task: str,
        form: Form,
        suggest: Suggest | None = None,
        *,
        follow: Follow | None = None,
        memory: bool = False,
    ) -> None:
        """Both of these make values from what the form holds: `suggest` for fields in which nothing
        was typed, `follow` for those that nobody has set; `memory`: whether the memory that the
        values need is shown, too."""
        self.task = task
        self.form = form
        self.suggest = suggest or self._suggest_name
        self.follow = follow
        self.memory = memory
        self.box: Any = None

    def draw(self) -> None:
        """Draw Start, what is missing, the answer to a press, and the command."""
        keys = {
            "start": f"start.{self.task}",
            **{
                name: f"start.{name}"
                for name in (
                    *("heard", "problems", "command", "copy", "copied", "lost"),
                    *("queue", "instead"),
                )
            },
            **(
                {name: f"memory.{name}" for name in ("title", "parts", "fix", "fixed", "undo")}
                | {name: f"course.{name}" for name in ("use", "used", "measure", "measuring")}
                | {"course": "course.title", "cancel": "panel.cancel"}
                if self.memory
                else {}
            ),
        }
        self.box = make_component(
            "launch",
            '<div class="launch"></div>',
            IDLE,
            events=["start"],
            functions=[is_free, *(make_questions(self.form) if self.memory else [])],
            elem_id=f"{self.form.key}-launch",
            form=self.form.key,
            bar=self.form.bar.key if self.form.bar else "",
            memory=self.memory,
            prefix=self.form.prefix,
            panel=f"{self.form.key}-run",
            words=TextKeys(keys),
        )

    def wire(self, run: Any) -> Any:
        """Judge each change; Start, the event returned, puts a folder into `run`."""
        self.form.judge = self.judgement
        refused = gr.State(())
        inputs, outputs = [self.box, refused, *self.form.inputs], [run, self.box, refused]
        return self.box.start(self._start, inputs, outputs, **QUIET)

    def judgement(self, raw: Raw, lang: str, own: Collection[str] = ()) -> dict[str, Any]:
        """What the browser shows of a form: problems by field, the command, what is missing.

        own  fields that somebody has set, be it to their defaults: their values follow nothing
        """
        put = self.suggest(raw)
        raw = {**raw, **put}
        values, problems = self.form.parse(raw)
        row_values = RowValues()
        if self.follow is not None:
            boxed = name_arguments(str(raw.get(BOX) or ""))
            row_values = self.follow(values, {*own, *boxed})
        values, problems = self._complete(raw, {**values, **row_values.values}, problems)
        wrong = errors(problems)
        first = wrong[0] if wrong else None
        named = [RUN_NAME.name] if RUN_NAME.name in put else []
        return {
            "fields": {
                **{
                    name: _remark(t("train.folder", lang, folder=values["output_dir"]), notice=True)
                    for name in named
                },
                **{
                    name: _remark(row_values.describe_field(lang), notice=True)
                    for name in row_values.values
                },
                **{
                    problem.field: _remark(text_beside_field(problem, lang), notice=problem.notice)
                    for problem in reversed(problems)
                },
            },
            "command": Command.build(self.task, values).shell(),
            "problems": [problem_lines([problem], lang) for problem in wrong],
            "missing": problem_lines([first], lang) if first else "",
            "missing_field": first.field if first else "",
            "startable": not wrong,
            "put": put,
            "follow": _show_followed(row_values, lang),
        }

    def _start(self, box: Any, refused: Sequence[Problem], *box_values: Any) -> list[Any]:
        """Start a run; how, the box says: at once, in the queue, or instead of the one in the way,
        which is asked to stop."""
        how = str(check(box).get("how", ""))
        raw = self.form.raw(box_values)
        values, problems = self.judge({**raw, **self.suggest(raw)})
        wrong = errors(problems)
        if not wrong:
            estimates.stop_measuring()
            try:
                folder = launch.start(self.task, values, exclusive=not how, queued=bool(how))
                if how == "instead":
                    stop_in_way(refused)
                return [str(folder), gr.update(value={**IDLE, "state": "started"}), ()]
            except TuneboardError as error:
                wrong = list(error.problems)
        return [gr.skip(), _show_refused(wrong), tuple(wrong)]

    def judge(self, raw: Raw) -> tuple[Values, list[Problem]]:
        """Values with the output folder, and every problem and notice."""
        return self._complete(raw, *self.form.parse(raw))

    def _complete(
        self, raw: Raw, values: Values, problems: list[Problem]
    ) -> tuple[Values, list[Problem]]:
        """Checked values of a form with the output folder, and what else is wrong with them."""
        run_name = str(raw.get(RUN_NAME.name) or "").strip() or new_name(self.task)
        if "output_dir" in values and not resolve(values).output_dir:
            values = {**values, "output_dir": self._output_dir(values, run_name)}
        problems = check_parsed(values, problems, self.task)
        bad_name = run_folder.check_name(run_name)
        if bad_name:
            return values, [*problems, bad_name]
        wrong = {problem.field for problem in errors(problems)}
        return values, problems + [
            problem for problem in check_paths(values, self.task) if problem.field not in wrong
        ]

    def _suggest_name(self, raw: Raw) -> Raw:
        """The name of the run, where the form asks for one."""
        name = RUN_NAME.name
        return {name: raw.get(name) or new_name(self.task)} if name in self.form.own else {}

    def _output_dir(self, values: Values, run_name: str) -> str:
        """saves/<model name>/<method>/<run name>, relative to the working folder."""
        parent = launch.default_output_dir(values, self.task).parent
        inside = parent.relative_to(home()) if parent.is_relative_to(home()) else parent
        return f"{inside}/{run_name}"


def _remark(text: str, *, notice: bool) -> dict[str, str]:
    """What the browser shows below a field."""
    return {"text": text, "level": "notice" if notice else "error"}


def _show_followed(row_values: RowValues, lang: str) -> dict[str, Any]:
    """The values that follow from the rows as the fields hold them, what is said of them, and the
    name of the way back."""
    values = {name: display(FIELDS[name], value) for name, value in row_values.values.items()}
    return {
        "values": values,
        "line": row_values.describe(lang),
        "back": t("row_values.back", lang),
    }


def is_free(_: Any) -> dict[str, Any]:
    """Whether no run is going on any more, which was in the way of a start."""
    return {"ok": True, "free": not runs.is_any_going()}


def _show_refused(problems: Sequence[Problem]) -> Any:
    """Why it was not started, in every language, as the page may change its own meanwhile."""
    texts = {lang: problem_lines(problems, lang) for lang in languages()}
    words = {"state": "refused", "texts": texts, "offers": offers_queue(problems)}
    return gr.update(value={**IDLE, **words})


def new_name(task: str) -> str:
    """A name for the next run: what it is and when."""
    return f"{task}_{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
