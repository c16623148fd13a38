"""The Runs tab: every run in one list, and the panel of the chosen one."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.form.component import Question
from app.form.listing import Action, Cell, Listing, ListItem, View
from app.i18n import has, in_all, t
from app.services.runs import run_text, runs
from app.services.runs.listed_run import ListedRun
from app.tabs.run import run_panel, run_picks
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.launching import launch

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
            news = ["runs", "steps"]
            table = LISTING.draw("runs.table", "runs-table", news=news, pick=run_picks.pick)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            panel = run_panel.build(context, prefix="runs", none="runs.pick")
    _wire(context, RunsTab(panel, table))
    return RunsTab(panel, table)


def list_runs(_: Question, lang: str) -> View:
    """What the list shows: every run, the newest first."""
    listed, known = runs.list_runs(), _tables.get(lang, _Table())
    if listed is not known.runs:
        names = run_text.names(listed)
        rows = {run.path: known.row(run, names[run.path], lang) for run in listed}
        known = _tables[lang] = _Table(listed, rows, [row for _, _, row in rows.values()])
    columns = [t(f"runs.column.{name}", lang) for name in COLUMNS]
    begin = Action("begin", t("runs.begin", lang))
    picks = run_picks.words(lang)
    return View(columns, known.items, t("runs.none", lang), begin, NUMBERS, picks)


class _Table(NamedTuple):
    """The list in one language: the runs it shows, and each with its name and its row."""

    runs: Sequence[ListedRun] = ()
    rows: Mapping[Path, tuple[ListedRun, str, ListItem]] = {}
    items: Sequence[ListItem] = ()

    def row(self, run: ListedRun, name: str, lang: str) -> tuple[ListedRun, str, ListItem]:
        """The row of a run; the same one as long as nothing about it has changed."""
        known = self.rows.get(run.path)
        if known is not None and known[0] is run and known[1] == name:
            return known
        return run, name, ListItem(str(run.path), cells(run, name, lang), actions(run, lang))


_tables: dict[str, _Table] = {}


def cells(run: ListedRun, name: str, lang: str) -> list[Cell]:
    """One run as the cells of COLUMNS."""
    kind = f"runs.kind.{run.task}"
    return [
        Cell(name, detail=t(kind, lang) if has(kind) else run.task, time=run.created),
        Cell(t(f"state.{run.state.value}", lang), tone=run_text.tone(run)),
        Cell(run.model, detail=run.method),
        Cell(run_text.steps(run, lang), number=run.step),
        Cell(run_text.describe_loss(run.loss, lang), number=_finite(run.loss)),
    ]


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None


def actions(run: ListedRun, lang: str) -> list[Action]:
    """What can be done with a run, as its panel offers it."""
    names = ["stop"] if not run.ended else []
    if run.ended and run.task == "train":
        names = ["resume"] if run.resumable else []
        names.append("again")
    keys = {"stop": run_text.stop_key(run)}
    return [Action(name, t(keys.get(name, f"panel.{name}"), lang)) for name in names]


def act(name: str, key: str, _: Question) -> dict[str, str]:
    """Stop or resume a run that is listed. Raises TuneboardError."""
    path = runs.find_folder(key)
    if path is None:
        return in_all(lambda lang: t("runs.gone", lang))
    ACTS[name](path)
    runs.forget()
    return {}


LISTING = Listing("runs", list_runs, act, events=("again", "begin"), first=True)


def _wire(context: Context, tab: RunsTab) -> None:
    tab.table.change(lambda key: key, tab.table, tab.panel, **QUIET)
    tab.table.begin(lambda: gr.Tabs(selected="train"), None, context.tabs, **QUIET)
