"""The parts of a run panel that go on from a training: resume it, or set it up again with a change.

Before a resume with other arguments, what changes is shown first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.component import make_call, make_component
from app.form.form import Form, Schemas
from app.form.schema import EXTRA, Section
from app.i18n import TextKeys, Texts, say, t
from app.problems import problem_lines, text_beside_field, title_of
from app.services.runs import fixes, runs
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.arguments import check_parsed
from backend.contract.arguments.field import Values
from backend.contract.launching import launch
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import resumed_run, resuming
from backend.contract.runs.resume_kinds import DEVICES
from backend.contract.texts.problems import Problem, TuneboardError, errors

# What people change most; the box for further arguments takes all others.
FIELDS = (
    "num_train_epochs",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
)
TONES = {"taken": "good", "kept": "quiet", "refused": "bad"}
WORDS = {
    **{name: f"resume.column.{name}" for name in ("name", "then", "now", "kind")},
    "button": "panel.resume_so",
}
SECTIONS = (Section("with", "", (*FIELDS, EXTRA.name), slot="first", width=2),)


@dataclass(frozen=True)
class ResumePanel:
    """The box with its form, the component with what changes and the button, and the run whose
    arguments the form holds."""

    box: Any
    form: Form
    changes: Any
    filled: Any

    def wire(self, panel: Any, lang: Any) -> None:
        """The form holds the arguments of the run that is shown; each edit is judged at once.

        It is filled when it is opened for a run the first time: Gradio loses what is put into
        boxes of an accordion that was never open. Another run closes it.
        """
        panel.change(lambda: (gr.update(open=False), ""), None, [self.box, self.filled], **QUIET)
        outputs = [self.filled, self.form.box, self.changes]
        self.box.expand(self._fill, [panel, self.filled, lang], outputs, **QUIET)
        inputs = [panel, lang, self.form.box]
        gr.on(
            [lang.change, self.form.box.change],
            self._judge,
            [self.filled, *inputs],
            self.changes,
            trigger_mode="always_last",
            **QUIET,
        )
        outputs = [self.box, self.changes, self.filled]
        self.changes.resume(self._resume, inputs, outputs, **QUIET).then(
            None, None, None, js=make_call("news", "askNews"), **QUIET
        )

    def _fill(self, path: str, filled: str, lang: str) -> list[Any]:
        folder = runs.find_folder(path) if path and path != filled else None
        if folder is None:
            return [gr.skip()] * 3
        values, _ = resumed_run.arguments_of(runs.view(folder))
        return [path, self.form.show(values), describe(values, [], lang)]

    def _judge(self, filled: str, path: str, lang: str, *box_values: Any) -> Any:
        if not path or path != filled:  # the boxes do not hold its arguments yet
            return gr.skip()
        return describe(*self._values(path, box_values), lang)

    def _resume(self, path: str, lang: str, *box_values: Any) -> list[Any]:
        if runs.find_folder(path) is None:
            return [gr.skip()] * 3
        values, problems = self._values(path, box_values)
        if not errors(problems):
            try:
                launch.resume(Path(path), values=values)
            except TuneboardError as error:
                problems = list(error.problems)
        runs.forget()
        if errors(problems):
            return [gr.skip(), describe(values, problems, lang), gr.skip()]
        return [gr.update(open=False), gr.update(value={}), ""]

    def _values(self, path: str, box_values: Sequence[Any]) -> tuple[Values, list[Problem]]:
        """The run's arguments under those that the form holds, and what is wrong with them."""
        before, _ = resumed_run.arguments_of(runs.view(Path(path)))
        values, problems = self.form.values(box_values, before)
        values, elsewhere = resumed_run.in_own_folder(values, Path(path))
        problems = check_parsed(values, [*problems, *elsewhere], "train")
        wrong = {problem.field for problem in errors(problems)}
        return values, problems + [
            problem for problem in check_paths(values, "train") if problem.field not in wrong
        ]


def draw(texts: Texts, schemas: Schemas, prefix: str) -> ResumePanel:
    """Draw the closed box; the panel around it shows it where a training can go on."""
    key = f"{prefix}-resume"
    form = Form("train", key, SECTIONS, own=[EXTRA])
    box = gr.Accordion(
        open=False,
        elem_id=f"{prefix}-run-resume-with",
        **say({"label": "panel.resume_with"}),
    )
    with texts.add(box, label="panel.resume_with"):
        form.draw(schemas)
        changes = make_component(
            "resume",
            '<div class="list"></div>',
            {},
            events=["resume"],
            elem_id=f"{prefix}-run-resume-changes",
            prefix=prefix,
            words=TextKeys(WORDS),
        )
    return ResumePanel(box, form, changes, gr.State(""))


def describe(values: Values, problems: Sequence[Problem], lang: str) -> Any:
    """What changes, what is wrong, and whether the button can be pressed.

    Something must be changed, and left to do. Why a change is refused stands beside it.
    """
    resumption = resuming.resumption(values)
    wrong = errors(problems)
    if resumption is None:
        return _update(wrong=_lines(wrong, lang))
    changes = resumption.changes
    lines = [text_beside_field(each, lang) for each in resumption.damage]
    lines.append(resumption.place(resumption.checkpoint.name, lang))
    refused = [each.problem() for each in changes if each.kind == "refused"]
    in_words = refused if changes else resumption.problems()
    unsaid = [problem for problem in wrong if problem not in in_words]
    if not changes and not unsaid:
        lines.append(t("resume.give_more" if resumption.nothing_left else "resume.unchanged", lang))
    return _update(
        lines=lines,
        changes=[_row(change, lang) for change in changes],
        wrong=_lines(unsaid, lang),
        ready=bool(changes) and not wrong,
    )


def _row(change: resuming.Change, lang: str) -> dict[str, str]:
    is_devices = change.name == DEVICES
    name = t("resume.devices_title", lang) if is_devices else title_of(change.name, lang)
    return {
        "name": name,
        "then": change.then,
        "now": change.now,
        "kind": t(f"resume.kind.{change.kind}", lang),
        "tone": TONES[change.kind],
        "text": _explain(change, name, lang),
    }


def _explain(change: resuming.Change, name: str, lang: str) -> str:
    """What happens to a change, in words that call the argument by its label."""
    if change.kind != "refused":
        return change.text(lang)
    problem = change.problem()
    problem = replace(problem, params={**problem.params, "name": name})
    return text_beside_field(problem, lang)


def _lines(problems: Sequence[Problem], lang: str) -> list[str]:
    return [problem_lines([problem], lang) for problem in problems]


def _update(**value: Any) -> Any:
    return gr.update(value=value)


def wire_again(context: Context, form: Form, panels: Sequence[Any]) -> None:
    """`again` of a panel fills the Train form with the run's arguments and the change."""

    def fill(name: str) -> list[Any]:
        folder = runs.find_folder(name)
        if folder is None:
            return [gr.skip()] * (len(form.inputs) + 1)
        view = runs.view(folder)
        values = {**fixes.arguments(view), **fixes.find_fix(view).changes}
        return [gr.Tabs(selected="train"), *form.fill(values)]

    outputs = [context.tabs, *form.inputs]
    for panel in panels:
        panel.again(fill, panel, outputs, api_visibility="private")
