"""One look at a run for the panel of one page: what each part shows, and whether that is new."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import t
from app.services.models import catalog
from app.services.runs import charts, run_text, runs, tail
from app.tabs.run import again_panel, figure_panel, resume_panel
from backend.contract.base.problems import Problem
from backend.contract.launching import launch
from backend.contract.runs import run_folder, run_words
from backend.contract.runs.run_folder import RunView, State

CHART_S = 2.0  # a curve is drawn anew no more often than this
HIDDEN = {"visible": False}


@dataclass(frozen=True)
class Look:
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
        share, words = run_words.progress(view, self.history.rows, self.lang)
        bar = _bar(share, view.ended, t("panel.progress", self.lang))
        said = [*([view.reason] if view.reason else []), *view.more]
        wrong = _lines([one for one in said if not one.notice], self.lang)
        said += [*view.silence, *filter(None, [run_folder.resumption(view)])]
        notices = _lines([*(one for one in said if one.notice), *view.notices], self.lang)
        return {
            "name": {"value": run_text.plain(view.name)},
            "state": {
                "value": run_words.state(view, self.lang),
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
        again = view.task == launch.RECIPE or (train and bool(runs.checkpoints(self.folder)))
        result = view.state in {State.SUCCEEDED, State.STOPPED} and catalog.is_usable(self.folder)
        link = runs.log_link(self.folder)
        return {
            "stop": {"visible": not view.ended, "interactive": view.state != State.STOPPING},
            "resume": {"visible": again and view.ended and view.state != State.SUCCEEDED},
            "chat": {"visible": train and result},
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
