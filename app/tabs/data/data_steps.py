"""Checking, cleaning and splitting the chosen set: three steps of the Data tab.

Cleaning and splitting always write new sets.
"""

from threading import Event
from typing import Any

import gradio as gr

from app.form.component import make_call
from app.form.form import Form, change
from app.form.schema import OwnField, Section
from app.i18n import t
from app.services.data import cleaning, datasets, set_list
from app.services.data.cleaning import STEPS, Job
from app.tabs.data.data_work import Task, Words, Work, say
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.texts.numbers import format_number


def build_check(form: Form, dataset: Any, folder: Any) -> None:
    """Draw it and wire it to the chosen set; `form` says how rows are read."""
    work = Work("check", "sets.check")
    work.draw()

    def begin(name: str | None, place: str, box_value: Any) -> Task | Words:
        if not name:
            return say("sets.choose")
        stop = Event()

        def progress(step: Any) -> tuple[float, Words] | None:
            if not isinstance(step, float):
                return None
            return step, say("sets.checking", name=name, share=format_number(step, ".0%"))

        return Task(
            datasets.check_rows(name, place, str(form.read_box(box_value)["stage"]), stop),
            stop,
            progress,
            _tell,
        )

    work.wire(begin, [dataset, folder, form.box], dataset)
    forget = make_call("work", "forget")
    dataset.change(None, work.box, work.box, js=forget, **QUIET)


def _tell(report: dict[str, Any], lang: str) -> dict[str, Any]:
    columns = [t(f"sets.found.{name}", lang) for name in set_list.FINDING_COLUMNS]
    table = {"columns": columns, "rows": set_list.findings(report, lang)}
    return {"lines": [set_list.report(report, lang)], "table": table}


NEAR, RATIO, SEED = "0.8", "0.1", "42"
DEFAULTS: dict[str, Any] = {
    "exact": True,
    "near_too": False,
    "near": NEAR,
    "min_answer": "1",
    "tidy": False,
    "overwrite": False,
    "ratio": RATIO,
    "seed": SEED,
    "again": False,
}
NUMBERS = {"near", "min_answer", "min_tokens", "max_tokens", "ratio", "seed"}
CLEAN = (
    ("exact", "near_too", "near", "tidy"),
    ("min_answer", "min_tokens", "max_tokens", "model"),
    ("drop", "keep", "not_in"),
    ("into", "overwrite"),
)
SPLIT = (("ratio", "seed", "first", "second", "again"),)


def build_clean(context: Context, dataset: Any, folder: Any) -> None:
    """Draw the step "Clean" and wire it to the boxes of the chosen set and of the registry."""
    form, work = _draw(context, "clean", CLEAN, "clean.intro", "clean.start")

    def begin(name: str | None, place: str, box_value: Any) -> Task | Words:
        values = form.read_box(box_value)
        wish = {step: values[step] for step in STEPS}
        wish["near"] = wish["near"] if values["near_too"] else None
        if not name:
            return say("sets.choose")
        if not cleaning.has_steps(wish):
            return say("clean.choose_step")
        job = Job(name, place, bool(values["overwrite"]))
        steps = cleaning.clean(job, values["into"].strip(), wish, values["model"].strip())
        return _task(job, steps)

    work.wire(begin, [dataset, folder, form.box], dataset)
    _propose(form, dataset, {"into": "{}_clean"})


def build_split(context: Context, dataset: Any, folder: Any) -> Any:
    """Draw the step "Split" and wire it; returns the event of its Start."""
    form, work = _draw(context, "split", SPLIT, "split.intro", "split.start")

    def begin(name: str | None, place: str, box_value: Any) -> Task | Words:
        values = form.read_box(box_value)
        if not name:
            return say("sets.choose")
        job = Job(name, place, bool(values["again"]))
        names = (values["first"].strip(), values["second"].strip())
        return _task(job, cleaning.split(job, names, values["ratio"], values["seed"]))

    started = work.wire(begin, [dataset, folder, form.box], dataset)
    _propose(form, dataset, {"first": "{}_train", "second": "{}_test"})
    return started


def _draw(
    context: Context, key: str, rows: tuple[tuple[str, ...], ...], intro: str, start: str
) -> tuple[Form, Work]:
    texts = context.texts
    texts.add(gr.Markdown(t(intro), elem_classes="quiet"), value=intro)
    sections = [Section(f"row{at}", "", names, slot="first") for at, names in enumerate(rows)]
    own = [_field(name) for names in rows for name in names]
    form = Form("train", key, sections, own=own)
    form.draw(context.schemas)
    work = Work(key, start)
    work.draw()
    return form, work


def _field(name: str) -> OwnField:
    default = DEFAULTS.get(name, "")
    kind = "bool" if isinstance(default, bool) else "number" if name in NUMBERS else "text"
    kind = "one" if name == "not_in" else kind
    label = f"clean.field.{name}"
    when = (("near_too", ("true",)),) if name == "near" else ()
    offers = "dataset" if name == "not_in" else ""
    return OwnField(name, kind, label, f"{label}.help", "", default, (), offers, when)


def _propose(form: Form, dataset: Any, patterns: dict[str, str]) -> None:
    """New names that follow from the chosen set's; one that a person has typed stays."""
    before = gr.State(dict.fromkeys(patterns, ""))

    def propose(name: str | None, proposed: dict[str, str], box_value: Any) -> list[Any]:
        names = {field: pattern.format(name) if name else "" for field, pattern in patterns.items()}
        values = form.read_box(box_value)
        free = {each for each in names if values[each] in {"", proposed[each]}}
        return [names, change({each: names[each] for each in free})]

    dataset.change(propose, [dataset, before, form.box], [before, form.box], **QUIET)


def _task(job: Job, steps: Any) -> Task:
    def progress(step: Any) -> tuple[float | None, Words] | None:
        if not isinstance(step, tuple):
            return None
        done, total = step
        words = {"done": format_number(done), "of": format_number(total) if total else "?"}
        return done / total if total else None, say("clean.working", name=job.name, **words)

    return Task(
        steps,
        job.stop,
        progress,
        cleaning.report,
        lambda reports: str(reports[0]["name"]),
        say("clean.stopped"),
    )
