"""One run on the page: state, progress, curves, log, checkpoints; Stop and Resume. Used by several tabs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import Texts, named, say, t
from app.services import charts, run_text, runs, tail
from backend.contract import launch, run_folder
from backend.contract.home import home
from backend.contract.problems import TuneboardError
from backend.contract.run_folder import RunView

RUNNING_S = 1
ENDED_S = 5
CHART_S = 2.0  # a curve is drawn anew no more often than this
Shown = dict[str, Any]
Update = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """What a tab may use: `run` holds the run's folder ("" for none); `refresh` shows it at once."""

    run: Any
    stop: Any
    resume: Any
    chat: Any
    timer: Any
    refresh: Callable[..., list[Any]]
    inputs: list[Any]
    outputs: list[Any]


def build(texts: Texts, lang: Any, prefix: str = "train", *, latest: bool = True) -> Panel:
    """Draw a panel and wire it; `prefix` keeps element ids apart and, with `latest`, names the task
    whose newest run a fresh page shows."""
    parts = _draw(texts, prefix)
    run, shown, timer = gr.State(""), gr.State({}), gr.Timer(RUNNING_S, active=False)
    names = [*parts, "timer"]
    asked = ("kind", "log_axis", "search")

    def refresh(path: str, name: str, kind: str, log_axis: bool, *rest: Any) -> list[Any]:
        search, before = rest
        now = _Look(path or "", name, kind, log_axis, search or "").updates(before)
        changed = [
            _update(key, now[key]) if now[key] != before.get(key) else gr.skip() for key in names
        ]
        return [*changed, now]

    inputs = [run, lang, *(parts[name] for name in asked), shown]
    outputs = [*parts.values(), timer, shown]
    panel = Panel(
        run, parts["stop"], parts["resume"], parts["chat"], timer, refresh, inputs, outputs
    )
    _wire(panel, parts, lang)
    if latest:
        _open_latest(panel, prefix)
    return panel
