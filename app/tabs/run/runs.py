"""The Runs tab: every run in one table, and the panel of the chosen one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import has, say, t
from app.services.runs import run_text, runs
from app.tabs.run import run_panel
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.runs.run_folder import RunView

COLUMNS = ("name", "state", "kind", "model", "method", "steps", "loss", "created")
WIDTHS = ("19%", "11%", "9%", "17%", "10%", "11%", "9%", "14%")
Table = list[list[str]]


@dataclass(frozen=True)
class RunsTab:
    """The parts that the page may use."""

    panel: Any
    table: Any


def build(context: Context) -> RunsTab:
    """Draw the tab inside the gr.Tab that is open, and wire it."""
    texts = context.texts
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            words = gr.Textbox(
                max_lines=1,
                elem_id="runs-filter",
                **say({"label": "runs.filter", "placeholder": "runs.filter_hint"}),
            )
            texts.add(words, label="runs.filter", placeholder="runs.filter_hint")
            none = gr.Markdown(t("runs.none"), visible=False, elem_id="runs-none")
            texts.add(none, value="runs.none")
            table = gr.Dataframe(
                headers=headers("en"),
                type="array",
                datatype="str",
                interactive=False,
                max_height=620,
                wrap=True,
                buttons=[],
                column_widths=list(WIDTHS),
                elem_id="runs-table",
                elem_classes=["listed", "picked"],
                **say({"label": "runs.table"}),
            )
            texts.add(table, label="runs.table")
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            panel = run_panel.build(context, prefix="runs", none="runs.pick")
    _wire(context, words, none, RunsTab(panel, table))
    return RunsTab(panel, table)


def headers(lang: str) -> list[str]:
    """The columns' titles."""
    return [t(f"runs.column.{name}", lang) for name in COLUMNS]


def rows(views: list[RunView], words: str, lang: str) -> Table:
    """The table: runs whose cells contain every word, the newest first."""
    wanted = words.lower().split()
    names = run_text.names(views)
    found = [[names[view.path], *cells(view, lang)[1:]] for view in views]
    return [row for row in found if all(word in " ".join(row).lower() for word in wanted)]


def cells(view: RunView, lang: str) -> list[str]:
    """One run as the cells of COLUMNS."""
    kind = f"runs.kind.{view.task}"
    loss = run_text.last_loss(runs.history(view.path).rows)
    return [
        view.name,
        t(f"state.{view.state.value}", lang),
        t(kind, lang) if has(kind) else view.task,
        view.model,
        view.method,
        run_text.steps(view),
        "–" if loss is None else f"{loss:.4f}",
        run_text.moment(view.created),
    ]


def chosen(row: list[Any]) -> Path | None:
    """The run of a row that was clicked, found among those that exist."""
    place = dict(zip(COLUMNS, row, strict=False))
    wanted = [place.get(name) for name in ("model", "method", "name")]
    views = runs.snapshot()
    names = run_text.names(views)
    for view in views:
        if [view.model, view.method, names[view.path]] == wanted:
            return view.path
    return None


def _wire(context: Context, words: Any, none: Any, tab: RunsTab) -> None:
    seen, lang, news = gr.State(None), context.lang, context.news

    def refresh(name: str, search: str, before: Any) -> list[Any]:
        now = (name, rows(runs.snapshot(), search or "", name))
        if now == before:
            return [gr.skip()] * 3
        return [
            gr.update(visible=not now[1] and not search),
            gr.update(value=now[1], headers=headers(name)),
            now,
        ]

    def pick(event: gr.SelectData) -> Any:
        path = chosen(event.row_value or [])
        return gr.skip() if path is None else str(path)

    given = {"inputs": [lang, words, seen], "outputs": [none, tab.table, seen], **QUIET}
    gr.on([news.runs.change, news.steps.change, lang.change], refresh, **given)
    words.change(refresh, **given)
    tab.table.select(pick, None, tab.panel, **QUIET)
