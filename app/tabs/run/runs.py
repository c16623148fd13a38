"""The Runs tab: every run in one list, and the panel of the chosen one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.component import Question
from app.form.listing import Action, Cell, Listing, ListItem, View
from app.i18n import has, in_all, t
from app.services.runs import run_text, runs
from app.tabs.run import run_panel
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.launching import launch
from backend.contract.runs.run_folder import RunView

COLUMNS = ("name", "state", "model", "steps", "loss")
NUMBERS = (3, 4)
ACTS: dict[str, Callable[[Path], object]] = {"stop": launch.stop, "resume": launch.resume}


@dataclass(frozen=True)
class RunsTab:
    """The parts that the page may use."""

    panel: Any
    table: Any


def build(context: Context) -> RunsTab:
    """Draw the tab inside the gr.Tab that is open, and wire it."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            listing = Listing("runs", list_runs, act, events=["again", "begin"], first=True)
            table = listing.draw("runs.table", "runs-table", news=["runs", "steps"])
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            panel = run_panel.build(context, prefix="runs", none="runs.pick")
    _wire(context, RunsTab(panel, table))
    return RunsTab(panel, table)


def list_runs(_: Question, lang: str) -> View:
    """What the list shows: every run, the newest first."""
    views = runs.snapshot()
    names = run_text.names(views)
    columns = [t(f"runs.column.{name}", lang) for name in COLUMNS]
    begin = Action("begin", t("runs.begin", lang))
    rows = [
        ListItem(str(view.path), cells(view, names[view.path], lang), actions(view, lang))
        for view in views
    ]
    return View(columns, rows, t("runs.none", lang), begin, NUMBERS)


def cells(view: RunView, name: str, lang: str) -> list[Cell]:
    """One run as the cells of COLUMNS."""
    kind = f"runs.kind.{view.task}"
    loss = run_text.last_loss(runs.history(view.path).rows)
    return [
        Cell(name, detail=t(kind, lang) if has(kind) else view.task, time=view.created),
        Cell(t(f"state.{view.state.value}", lang), tone=run_text.tone(view)),
        Cell(view.model, detail=view.method),
        Cell(run_text.steps(view)),
        Cell("–" if loss is None else f"{loss:.4f}"),
    ]


def actions(view: RunView, lang: str) -> list[Action]:
    """What can be done with a run, as its panel offers it."""
    names = ["stop"] if not view.ended else []
    if view.ended and view.task == "train":
        names = ["resume"] if runs.is_resumable(view) else []
        names.append("again")
    keys = {"stop": run_text.stop_key(view)}
    return [Action(name, t(keys.get(name, f"panel.{name}"), lang)) for name in names]


def act(name: str, key: str, _: Question) -> dict[str, str]:
    """Stop or resume a run that is listed. Raises TuneboardError."""
    path = runs.find_folder(key)
    if path is None:
        return in_all(lambda lang: t("runs.gone", lang))
    ACTS[name](path)
    runs.forget()
    return {}


def _wire(context: Context, tab: RunsTab) -> None:
    tab.table.change(lambda key: key, tab.table, tab.panel, **QUIET)
    tab.table.begin(lambda: gr.Tabs(selected="train"), None, context.tabs, **QUIET)
