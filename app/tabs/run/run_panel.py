"""One run on the page: state, progress, curves, log, checkpoints, Stop and Resume."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import Texts, say, t, translate_choices
from app.services.runs import charts, runs
from app.tabs.run import again_panel, figure_panel, resume_panel
from app.tabs.run.resume_panel import ResumePanel
from app.tabs.run.run_look import Look
from app.tabs.shared import message
from app.tabs.shared.answer import Answer
from app.tabs.shared.clock import News
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.base.problems import TuneboardError
from backend.contract.launching import launch

RUNNING_S = 1
LOG_LINES = 12
KIND_TEXTS = [(f"chart.kind.{kind}", kind) for kind in charts.KINDS]
HIDDEN = {"visible": False}
WITH_TRAININGS = ("train", "runs")  # panels that show trainings


@dataclass(frozen=True)
class Panel:
    """For the tabs: `run` holds the run's folder ("" for none)."""

    run: Any
    stop: Any
    resume: Any
    chat: Any
    again: Any
    answer: Answer
    timer: Any
    refresh: Callable[..., list[Any]]
    inputs: list[Any]
    outputs: list[Any]

    def show_after(self, event: Any) -> None:
        """Show the run at once that an event has put into `run`."""
        event.then(self.refresh, self.inputs, self.outputs, **QUIET)


def build(context: Context, prefix: str = "train", *, none: str = "") -> Panel:
    """Draw a panel and wire it.

    `prefix` keeps element ids apart, and is the task whose newest run a fresh page shows; with
    `none` it shows none at first, but this text.
    """
    lang = context.lang
    parts: dict[str, Any] = {}
    resume_with = _draw(context, prefix, none or "panel.none", parts)
    run, shown = gr.State(""), gr.State({})
    parts["timer"] = gr.Timer(RUNNING_S, active=False)
    panel = Panel(
        run=run,
        stop=parts["stop"],
        resume=parts["resume"],
        chat=parts["chat"],
        again=parts["again"],
        answer=Answer(parts["restart"], parts["answer"], gr.State(())),
        timer=parts["timer"],
        refresh=_refresh_of(list(parts)),
        inputs=[run, lang, parts["kind"], parts["log_axis"], parts["search"], parts["pick"], shown],
        outputs=[*parts.values(), shown],
    )
    _wire(panel, parts, lang)
    if resume_with:
        resume_with.wire(panel, lang)
    if none:
        context.news.runs.change(panel.refresh, panel.inputs, panel.outputs, **QUIET)
    else:
        _open_latest(panel, prefix, context.news)
    return panel


def _draw(context: Context, prefix: str, none: str, parts: dict[str, Any]) -> ResumePanel | None:
    """Put the components into `parts` by name, in the order of `outputs`."""
    texts = context.texts
    resume_with = None
    with gr.Column(elem_id=f"{prefix}-run", elem_classes="run-panel"):
        empty = gr.Markdown(t(none), elem_id=f"{prefix}-run-none", elem_classes="run-none")
        parts["none"] = texts.add(empty, value=none)
        with gr.Column(visible=False, elem_id=f"{prefix}-run-body") as parts["body"]:
            _draw_head(texts, prefix, parts)
            if prefix in WITH_TRAININGS:
                resume_with = resume_panel.draw(texts, context.schemas, prefix, parts)
            _draw_chart(texts, prefix, parts)
            figure_panel.draw(texts, prefix, parts)
            _draw_log(texts, prefix, parts)
            with gr.Accordion("", open=False, elem_id=f"{prefix}-run-checkpoints") as box:
                parts["points"] = gr.Markdown(elem_classes="run-points", latex_delimiters=[])
            parts["points_box"] = box
    return resume_with


def _draw_head(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    with gr.Row(elem_classes="run-head"):
        for name in ("name", "state"):
            parts[name] = gr.Markdown(
                elem_id=f"{prefix}-run-{name}", elem_classes=f"run-{name}", latex_delimiters=[]
            )
    for name in ("progress", "figures"):
        parts[name] = gr.Markdown(elem_id=f"{prefix}-run-{name}", elem_classes=f"run-{name}")
    safe = gr.Markdown(t("panel.safe"), elem_id=f"{prefix}-run-safe", elem_classes="run-safe")
    parts["safe"] = texts.add(safe, value="panel.safe")
    for name in ("problem", "notices"):
        box = gr.Textbox(
            visible=False,
            interactive=False,
            lines=1,
            max_lines=10,
            elem_id=f"{prefix}-run-{name}",
            elem_classes="problems" if name == "problem" else "notices",
            **say({"label": f"panel.{name}"}),
        )
        parts[name] = texts.add(box, label=f"panel.{name}")
    again_panel.draw_cure(texts, prefix, parts)
    with gr.Row(elem_classes="run-buttons"):
        again_panel.draw_button("restart", prefix, parts, "primary")
        for name, variant in (("stop", "stop"), ("resume", "primary"), ("chat", "primary")):
            key = f"panel.{name}"
            button = gr.Button(
                variant=variant,
                size="md",
                min_width=110,
                elem_id=f"{prefix}-run-{name}",
                **say({"value": key}),
            )
            parts[name] = texts.add(button, value=key)
        again_panel.draw_button("again", prefix, parts, "secondary")
    parts["answer"] = message.problem(texts, f"{prefix}-run-answer")


def _draw_chart(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    with gr.Column(elem_classes="run-curves") as parts["curves"]:
        with gr.Row(elem_classes="run-chart-bar"):
            kind = gr.Radio(
                choices=translate_choices(KIND_TEXTS, "en"),
                value="loss",
                container=False,
                show_label=False,
                min_width=240,
                scale=4,
                elem_id=f"{prefix}-run-chart-kind",
                elem_classes="run-kinds",
                **say({"label": "panel.chart"}),
            )
            parts["kind"] = texts.add(kind, label="panel.chart", choices=KIND_TEXTS)
            log_axis = gr.Checkbox(
                container=False,
                min_width=110,
                scale=1,
                elem_id=f"{prefix}-run-log-axis",
                **say({"label": "panel.log_axis"}),
            )
            parts["log_axis"] = texts.add(log_axis, label="panel.log_axis")
        parts["chart"] = gr.Plot(
            show_label=False,
            container=False,
            elem_id=f"{prefix}-run-chart",
            elem_classes="run-chart",
            **say({"label": "panel.chart"}),
        )
        texts.add(parts["chart"], label="panel.chart")


def _draw_log(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    log = gr.Textbox(
        lines=LOG_LINES,
        max_lines=LOG_LINES,
        interactive=False,
        autoscroll=True,
        elem_id=f"{prefix}-run-log",
        elem_classes="run-log",
        **say({"label": "panel.log"}),
    )
    parts["log"] = texts.add(log, label="panel.log")
    with gr.Row(elem_classes="run-log-bar"):
        search = gr.Textbox(
            max_lines=1,
            container=False,
            show_label=False,
            scale=3,
            min_width=160,
            elem_id=f"{prefix}-run-search",
            **say({"label": "panel.search", "placeholder": "panel.search"}),
        )
        parts["search"] = texts.add(search, label="panel.search", placeholder="panel.search")
        download = gr.Button(
            size="md",
            scale=1,
            min_width=130,
            elem_id=f"{prefix}-run-download",
            **say({"value": "panel.download"}),
        )
        parts["download"] = texts.add(download, value="panel.download")


def _wire(panel: Panel, parts: dict[str, Any], lang: Any) -> None:
    given = {"fn": panel.refresh, "inputs": panel.inputs, "outputs": panel.outputs, **QUIET}
    panel.timer.tick(**given)
    boxes = [lang, parts["kind"], parts["log_axis"], parts["search"]]
    events = [*(box.change for box in boxes), parts["pick"].input]
    gr.on(events, trigger_mode="always_last", **given)
    for button, act in ((panel.stop, launch.stop), (panel.resume, launch.resume)):
        panel.show_after(button.click(_action(act), [panel.run, lang], None, **QUIET))


def _action(act: Callable[[Path], object]) -> Callable[[str, str], None]:
    def apply(path: str, lang: str) -> None:
        try:
            act(Path(path))
        except TuneboardError as error:
            for problem in error.problems:
                gr.Warning(html.escape(problem.text(lang)))
        runs.forget()

    return apply


def _open_latest(panel: Panel, task: str, news: News) -> None:
    """A page that is opened again, on any machine, shows the run that goes on; an open one shows
    what was started in a terminal. A run that is shown is left alone: written back, it would take
    the place of one whose start is answered at the same time."""

    def newest(path: str) -> Any:
        latest = None if path else runs.latest(task)
        return str(latest) if latest else gr.skip()

    panel.show_after(news.runs.change(newest, panel.run, panel.run, **QUIET))


def _refresh_of(names: list[str]) -> Callable[..., list[Any]]:
    """The handler: only what has changed since the last look of this page is sent."""

    def refresh(*given: Any) -> list[Any]:
        path, lang, kind, log_axis, search, picked, before = given
        words, names_picked = (search or "").strip(), tuple(picked or ())
        look = Look(path or "", lang, kind, log_axis, words, names_picked)
        now = look.stamps(before)
        updates = [
            look.update(name, now[name])
            if name in now and now[name] != before.get(name)
            else gr.skip()
            for name in names
        ]
        return [*updates, now]

    return refresh
