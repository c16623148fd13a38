"""One run on the page: state, progress, curves, log, checkpoints, Stop and Resume."""

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import Texts, named, say, t
from app.services import charts, run_text, runs, tail
from app.tabs import again_panel, figure_panel, resume_panel
from app.tabs.clock import News
from app.tabs.context import Context
from app.tabs.resume_panel import ResumePanel
from backend.contract import launch, run_folder
from backend.contract.problems import Problem, TuneboardError
from backend.contract.run_folder import RunView, State

RUNNING_S = 1
CHART_S = 2.0  # a curve is drawn anew no more often than this
LOG_LINES = 12
KIND_TEXTS = [(f"chart.kind.{kind}", kind) for kind in charts.KINDS]
HIDDEN = {"visible": False}
WITH_TRAININGS = ("train", "runs")  # panels that show trainings
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Panel:
    """For the tabs: `run` holds the run's folder ("" for none)."""

    run: Any
    stop: Any
    resume: Any
    chat: Any
    again: Any
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
    resume_with = _draw(context.texts, prefix, none or "panel.none", parts)
    run, shown = gr.State(""), gr.State({})
    parts["timer"] = gr.Timer(RUNNING_S, active=False)
    panel = Panel(
        run=run,
        stop=parts["stop"],
        resume=parts["resume"],
        chat=parts["chat"],
        again=parts["again"],
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


def _draw(texts: Texts, prefix: str, none: str, parts: dict[str, Any]) -> ResumePanel | None:
    """Put the components into `parts` by name, in the order of `outputs`."""
    resume_with = None
    with gr.Column(elem_id=f"{prefix}-run", elem_classes="run-panel"):
        empty = gr.Markdown(t(none), elem_id=f"{prefix}-run-none", elem_classes="run-none")
        parts["none"] = texts.add(empty, value=none)
        with gr.Column(visible=False, elem_id=f"{prefix}-run-body") as parts["body"]:
            _draw_head(texts, prefix, parts)
            again_panel.draw(texts, prefix, parts)
            if prefix in WITH_TRAININGS:
                resume_with = resume_panel.draw(texts, prefix, parts)
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
    with gr.Row(elem_classes="run-buttons"):
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


def _draw_chart(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    with gr.Column(elem_classes="run-curves") as parts["curves"]:
        with gr.Row(elem_classes="run-chart-bar"):
            kind = gr.Radio(
                choices=named(KIND_TEXTS, "en"),
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
    what was started in a terminal."""

    def newest(path: str) -> str:
        return path or str(runs.latest(task) or "")

    panel.show_after(news.runs.change(newest, panel.run, panel.run, **QUIET))


def _refresh_of(names: list[str]) -> Callable[..., list[Any]]:
    """The handler: only what has changed since the last look of this page is sent."""

    def refresh(*given: Any) -> list[Any]:
        path, lang, kind, log_axis, search, picked, before = given
        words, names_picked = (search or "").strip(), tuple(picked or ())
        look = _Look(path or "", lang, kind, log_axis, words, names_picked)
        now = look.stamps(before)
        updates = [
            look.update(name, now[name])
            if name in now and now[name] != before.get(name)
            else gr.skip()
            for name in names
        ]
        return [*updates, now]

    return refresh


@dataclass(frozen=True)
class _Look:
    """One look at a run for one page. A stamp tells whether a part of the panel has to be sent."""

    path: str
    lang: str
    kind: str
    log_axis: bool
    search: str
    picked: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.path)

    @cached_property
    def view(self) -> RunView | None:
        known = self.path and (self.folder / run_folder.RUN).is_file()
        return runs.view(self.folder) if known else None

    @cached_property
    def history(self) -> runs.History:
        return runs.history(self.folder)

    def stamps(self, before: dict[str, Any]) -> dict[str, Any]:
        """What each part shows now: update arguments, or what chart and log follow from."""
        view = self.view
        if view is None:
            nothing = {"none": {"visible": True}, "body": HIDDEN, "timer": {"active": False}}
            return nothing
        return {
            "none": HIDDEN,
            "body": {"visible": True},
            "timer": {"active": not view.ended},
            **self._head(view),
            **self._buttons(view),
            **again_panel.stamps(view, self.lang),
            **resume_panel.stamps(view),
            **self._curves(view, before),
            **self._figures(view, before),
            "log": (self.path, self.search, self.lang, tail.stamp(self.folder / run_folder.LOG)),
            **self._points(),
        }

    def update(self, name: str, stamp: Any) -> Any:
        """The Gradio update of one part."""
        if name == "chart":
            return self._chart()
        if name == "stage_chart":
            plot = charts.figures(self.history.rows, stamp[0][3:], self.lang, revision=self.path)
            return PlotData(type="plotly", plot=plot)
        if name == "log":
            return self._log()
        return gr.Timer(**stamp) if name == "timer" else gr.update(**stamp)

    def _head(self, view: RunView) -> dict[str, Any]:
        share, words = run_text.progress(view, self.history.rows, self.lang)
        bar = _bar(share, view.ended, t("panel.progress", self.lang))
        said = [*([view.reason] if view.reason else []), *view.more]
        wrong = _lines([one for one in said if not one.notice], self.lang)
        said += [*view.silence, *filter(None, [run_folder.resumption(view)])]
        notices = _lines([*(one for one in said if one.notice), *view.notices], self.lang)
        return {
            "name": {"value": run_text.plain(view.name)},
            "state": {
                "value": run_text.state(view, self.lang),
                "elem_classes": ["run-state", f"state-{view.state.value.lower()}"],
            },
            "progress": {"value": bar, "visible": bool(bar)},
            "figures": {"value": words, "visible": bool(words)},
            "safe": {"visible": not view.ended},
            "problem": {"value": wrong, "visible": bool(wrong)},
            "notices": {"value": notices, "visible": bool(notices)},
        }

    def _buttons(self, view: RunView) -> dict[str, Any]:
        train = view.task == "train"
        again = train or view.task == launch.RECIPE
        link = runs.log_link(self.folder)
        return {
            "stop": {"visible": not view.ended, "interactive": view.state != State.STOPPING},
            "resume": {"visible": again and view.ended and view.state != State.SUCCEEDED},
            "chat": {"visible": train and view.state in {State.SUCCEEDED, State.STOPPED}},
            "download": {"link": link, "visible": bool(link)},
        }

    def _curves(self, view: RunView, before: dict[str, Any]) -> dict[str, Any]:
        wanted = view.task == "train" and (bool(self.history.rows) or not view.ended)
        if not wanted:
            return {"curves": HIDDEN}
        choice = (self.path, self.kind, self.log_axis, self.lang, view.ended)
        drawn = self._drawn(choice, before.get("chart"))
        return {"curves": {"visible": True}, "chart": drawn}

    def _figures(self, view: RunView, before: dict[str, Any]) -> dict[str, Any]:
        names = charts.figure_names(self.history.figures)
        if view.task != "train" or not names:
            return {"stage": HIDDEN}
        picked = figure_panel.chosen(names, self.picked)
        drawn = self._drawn((self.path, self.lang, view.ended, *picked), before.get("stage_chart"))
        return {**figure_panel.shown(names, picked, self.lang), "stage_chart": drawn}

    def _drawn(self, choice: tuple[Any, ...], before: Any) -> Any:
        """A curve's stamp; the one before while nothing else was chosen and nothing new is due."""
        stamp = (choice, self.history.version, time.monotonic())
        drawn = before or ((), 0, 0.0)
        same = drawn[0] == choice and (drawn[1] == stamp[1] or stamp[2] - drawn[2] < CHART_S)
        return drawn if same else stamp

    def _chart(self) -> PlotData:
        every = self.view.arguments.get("logging_steps") if self.view else 1
        figure = charts.chart(
            self.kind,
            self.history.rows,
            self.lang,
            log=self.log_axis,
            first=every if isinstance(every, int) else 1,
            revision=self.path,
        )
        return PlotData(type="plotly", plot=figure)

    def _log(self) -> Any:
        text = tail.tail(self.folder / run_folder.LOG, self.search)
        if self.search and not text:
            text = t("panel.no_match", self.lang, words=self.search)
        return gr.update(value=text)

    def _points(self) -> dict[str, Any]:
        points = runs.checkpoints(self.folder)
        title = t("panel.checkpoints", self.lang, count=len(points))
        return {
            "points_box": {"visible": bool(points), "label": title},
            "points": {"value": run_text.checkpoint_table(points, self.lang)},
        }


def _lines(problems: Sequence[Problem], lang: str) -> str:
    return "\n".join(problem.text(lang) for problem in problems)


def _bar(share: float | None, ended: bool, label: str) -> str:
    """A progress element; without a share it says that something goes on."""
    if share is None:
        return "" if ended else f'<progress aria-label="{label}"></progress>'
    percent = round(100 * share)
    return f'<progress max="100" value="{percent}" aria-label="{label}">{percent} %</progress>'
