"""Cleaning and splitting the chosen set, always into new sets: two accordions of the Data tab."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.form import offers
from app.i18n import Texts, t
from app.services.data import cleaning, row_html
from app.services.data.cleaning import STEPS, Job, Progress
from app.tabs.data import dataset_preview
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.base.child_process import Stopped
from backend.contract.base.problems import TuneboardError

NEAR, RATIO, SEED = 0.8, 0.1, 42
NARROW = 200  # pixels
SHOWN = {"start", "stop", "bar", "said", "not_in"}  # what is not typed, or offered anew

Parts = dict[str, Any]
Update = Any


def build(context: Context, dataset: Any, dataset_dir: Any) -> None:
    """Draw it and wire it to the boxes of the chosen set and of the registry's folder."""
    cleaner = _draw_clean(context.texts)
    splitter = _draw_split(context.texts)
    dataset_preview.keep_fresh(context.news, dataset_dir, [cleaner["not_in"]])
    shared = [dataset, dataset_dir, context.lang]
    boxes = {name: box for name, box in {**cleaner, **splitter}.items() if name not in SHOWN}
    context.keeper.add("clean", boxes)
    _wire_names(dataset, cleaner, splitter)
    _wire_clean(cleaner, shared)
    _wire_split(splitter, shared)


def _draw_clean(texts: Texts) -> Parts:
    parts: Parts = {}
    with texts.make(gr.Accordion, {"label": "clean.title"}, open=False, elem_id="clean"):
        texts.add(gr.Markdown(t("clean.intro"), elem_classes="seen"), value="clean.intro")
        with gr.Row(elem_classes="fields"):
            parts["exact"] = _box(texts, gr.Checkbox, "exact", value=True)
            parts["near_too"] = _box(texts, gr.Checkbox, "near_too", value=False)
            parts["near"] = _box(
                texts, gr.Slider, "near", value=NEAR, minimum=0.5, maximum=1.0, step=0.01
            )
            parts["min_answer"] = _box(texts, gr.Textbox, "min_answer", value="1", max_lines=1)
            parts["tidy"] = _box(texts, gr.Checkbox, "tidy", value=False)
        with gr.Row(elem_classes="fields"):
            for name in ("min_tokens", "max_tokens"):
                parts[name] = _box(texts, gr.Textbox, name, max_lines=1)
            parts["model"] = _box(texts, gr.Textbox, "model", max_lines=1)
        with gr.Row(elem_classes="fields"):
            for name in ("drop", "keep"):
                parts[name] = _box(texts, gr.Textbox, name, max_lines=1)
            parts["not_in"] = _box(texts, gr.Dropdown, "not_in", choices=[], value=None)
        with gr.Row(elem_classes="fields"):
            parts["into"] = _box(texts, gr.Textbox, "into", max_lines=1)
            parts["overwrite"] = _box(texts, gr.Checkbox, "overwrite", value=False)
        _draw_end(texts, parts, "clean", "clean.start")
    return parts


def _draw_split(texts: Texts) -> Parts:
    parts: Parts = {}
    with texts.make(gr.Accordion, {"label": "split.title"}, open=False, elem_id="split"):
        texts.add(gr.Markdown(t("split.intro"), elem_classes="seen"), value="split.intro")
        with gr.Row(elem_classes="fields"):
            parts["ratio"] = _box(
                texts, gr.Slider, "ratio", value=RATIO, minimum=0.01, maximum=0.5, step=0.01
            )
            parts["seed"] = _box(texts, gr.Textbox, "seed", value=str(SEED), max_lines=1)
            for name in ("first", "second"):
                parts[name] = _box(texts, gr.Textbox, name, max_lines=1)
            parts["again"] = _box(texts, gr.Checkbox, "again", value=False)
        _draw_end(texts, parts, "split", "split.start")
    return parts


def _box(texts: Texts, kind: Any, name: str, **given: Any) -> Any:
    keys = {"label": f"clean.field.{name}", "info": f"clean.field.{name}.help"}
    return texts.make(kind, keys, elem_id=f"clean-{name}", min_width=NARROW, **given)


def _draw_end(texts: Texts, parts: Parts, prefix: str, start: str) -> None:
    """Buttons, how far it is, and what came of it."""
    with gr.Row(elem_classes="seen-buttons"):
        parts["start"] = texts.make(
            gr.Button,
            {"value": start},
            size="sm",
            variant="primary",
            elem_id=f"{prefix}-start",
        )
        parts["stop"] = texts.make(
            gr.Button, {"value": "clean.stop"}, size="sm", visible=False, elem_id=f"{prefix}-stop"
        )
    parts["bar"] = gr.Markdown(visible=False, elem_id=f"{prefix}-bar", elem_classes="run-progress")
    parts["said"] = gr.Markdown(elem_id=f"{prefix}-said", elem_classes="seen")


def _wire_names(dataset: Any, cleaner: Parts, splitter: Parts) -> None:
    """New names that follow from the chosen set's; one that a person has typed stays."""
    proposed = gr.State([""] * 3)

    def named(name: str | None, before: list[str], *typed: str | None) -> list[Any]:
        names = [f"{name}_clean", f"{name}_train", f"{name}_test"] if name else [""] * 3
        pairs = zip(names, before, typed, strict=True)
        return [names, *(new if not own or own == old else own for new, old, own in pairs)]

    boxes = [cleaner["into"], splitter["first"], splitter["second"]]
    dataset.change(named, [dataset, proposed, *boxes], [proposed, *boxes], **QUIET)


def _wire_clean(parts: Parts, shared: list[Any]) -> None:
    def work(
        name: str | None, folder: str, lang: str, into: str, model: str, *given: Any
    ) -> Iterator[list[Update]]:
        overwrite, near_too, *values = given
        wish = dict(zip(STEPS, values, strict=True))
        wish["near"] = wish["near"] if near_too else None
        if not name or not cleaning.has_steps(wish):
            said = t("clean.choose_step" if name else "clean.choose", lang)
            yield [gr.update(visible=False), row_html.note(said), *[gr.skip()] * 4]
            return
        job = Job(name, folder, bool(overwrite))
        yield from _shown(cleaning.clean(job, into.strip(), wish, model.strip()), job, lang)

    names = ("into", "model", "overwrite", "near_too", *STEPS)
    _wire(parts, work, [*shared, *(parts[name] for name in names)])


def _wire_split(parts: Parts, shared: list[Any]) -> None:
    def work(
        name: str | None, folder: str, lang: str, ratio: float, seed: str, *given: Any
    ) -> Iterator[list[Update]]:
        first, second, again = given
        if not name:
            said = row_html.note(t("clean.choose", lang))
            yield [gr.update(visible=False), said, *[gr.skip()] * 4]
            return
        job = Job(name, folder, bool(again))
        names = (first.strip(), second.strip())
        yield from _shown(cleaning.split(job, names, ratio, seed), job, lang)

    names = ("ratio", "seed", "first", "second", "again")
    _wire(parts, work, [*shared, *(parts[name] for name in names)])


def _wire(parts: Parts, work: Any, inputs: list[Any]) -> None:
    """Start and stop; leaving the page ends the work, too. What was made becomes what is chosen."""
    going = gr.State(None)  # what stops the work
    outputs = [*(parts[name] for name in ("bar", "said", "start", "stop")), inputs[0], going]
    parts["start"].click(work, inputs, outputs, **QUIET)
    # The end of the child ends the bar, too: two events that write it would race each other.
    parts["stop"].click(lambda stop: stop and stop.set(), going, None, **QUIET)


def _shown(told: Iterator[Progress], job: Job, lang: str) -> Iterator[list[Update]]:
    """Updates of bar, words, start, stop, the chosen set and what stops it while a child works."""
    hidden = gr.update(visible=False)
    free = [gr.update(interactive=True), hidden]
    busy = [gr.update(interactive=False), gr.update(visible=True), gr.skip(), job.stop]
    yield [_bar(job.name, 0, 0, lang), "", *busy]
    try:
        for each in told:
            if isinstance(each, tuple):
                yield [_bar(job.name, *each, lang), *[gr.skip()] * 5]
            else:
                names = offers.datasets(job.dataset_dir)
                made = gr.update(choices=names, value=each[0]["name"])
                yield [hidden, cleaning.report(each, lang), *free, made, None]
    except Stopped:
        yield [hidden, row_html.note(t("clean.stopped", lang)), *free, gr.skip(), None]
    except TuneboardError as error:
        said = "".join(row_html.note(problem.text(lang)) for problem in error.problems)
        yield [hidden, said, *free, gr.skip(), None]


def _bar(name: str, done: int, total: int, lang: str) -> Update:
    given = {"name": name, "done": f"{done:,}", "of": f"{total:,}" if total else "?"}
    said = row_html.escape(t("clean.working", lang, **given))
    value = f' value="{100 * done / total:.1f}"' if total else ""
    return gr.update(value=f'<progress max="100"{value}></progress> {said}', visible=True)
