"""The Evaluate tab: loss and perplexity, predictions and their scores, kept in a run folder."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form, change
from app.form.schema import Section
from app.form.values import display
from app.i18n import has, say, t
from app.services.runs import runs
from app.tabs.run import run_panel
from app.tabs.run.launching import Launcher
from app.tabs.shared.context import Context
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView
from backend.contract.system import boundary
from backend.contract.system.files import read_json
from backend.contract.texts.numbers import localize

WHAT = ("eval_dataset", "max_samples")
HOW = (
    *("cutoff_len", "per_device_eval_batch_size", "max_new_tokens"),
    *("do_eval", "do_predict", "do_sample"),
    *("temperature", "top_p"),
)
MORE = ("top_k", "num_beams", "repetition_penalty", "dataset_dir", "seed")
START = {"do_predict": True, "max_new_tokens": 512, "cutoff_len": 1024}
SECTIONS = (
    Section("what", "", WHAT, slot="first", width=2),
    Section("how", "", HOW, slot="first", width=3),
    Section("generation", "group.generation", MORE, slot="first", closed=True, width=3),
)
PAGE = 20
COLUMNS = ("prompt", "label", "predict")


def build(context: Context) -> Form:
    """Draw the tab and wire it; returns the form, which the panel of a training fills in."""
    form = Form("eval", "eval", SECTIONS, start=START, bar=context.bar)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            form.draw(context.schemas)
            results = _results(context)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            launcher = Launcher("eval", form)
            launcher.draw()
            panel = run_panel.build(context, prefix="eval")
    launcher.wire(panel)
    _wire_results(context, panel, results)
    return form


def fill(view: RunView) -> Any:
    """The update of the form that evaluates a training: on what it was evaluated with, else on
    what it learned from."""
    arguments = view.arguments
    values: Values = {
        "eval_dataset": arguments.eval_dataset or arguments.dataset,
        "dataset_dir": arguments.dataset_dir,
    }
    return change({name: display(FIELDS[name], value) for name, value in values.items()})


def _results(context: Context) -> dict[str, Any]:
    texts = context.texts
    with gr.Column(visible=False) as box:
        scores = texts.make(
            gr.Dataframe,
            {"label": "eval.scores"},
            headers=["", ""],
            datatype="str",
            interactive=False,
            column_widths=["60%", "40%"],
            elem_id="eval-scores",
            elem_classes="listed",
        )
        search = texts.make(
            gr.Textbox,
            {"label": "eval.search", "placeholder": "list.filter"},
            elem_id="eval-search",
            max_lines=1,
        )
        table = texts.make(
            gr.Dataframe,
            {"label": "eval.table"},
            headers=list(COLUMNS),
            datatype="str",
            interactive=False,
            wrap=True,
            column_widths=["40%", "30%", "30%"],
            elem_id="eval-table",
            elem_classes="listed",
        )
        with gr.Row():
            page = gr.Number(
                value=1,
                precision=0,
                minimum=1,
                elem_id="eval-page",
                **say({"label": "page.number"}),
            )
            texts.add(page, label="page.number")
    return {"box": box, "scores": scores, "search": search, "table": table, "page": page}


def _wire_results(context: Context, panel: Any, results: dict[str, Any]) -> None:
    seen = gr.State("")

    def show(run: str, lang: str, search: str | None, page: float | None, before: str) -> list[Any]:
        folder, search = runs.find_folder(run) if run else None, search or ""
        stamp = f"{run}|{lang}|{search}|{page}|{_mtime(folder) if folder else 0.0}"
        if stamp == before:
            return [gr.skip()] * 4
        rows = scores(folder, lang) if folder else []
        headers = [t(f"eval.column.{name}", lang) for name in COLUMNS]
        return [
            gr.update(visible=bool(rows)),
            gr.update(value=rows, headers=[t("eval.score", lang), t("eval.value", lang)]),
            gr.update(
                value=predictions(folder, search, int(page or 1)) if folder else [], headers=headers
            ),
            stamp,
        ]

    changes = [context.lang.change, results["search"].change, results["page"].change]
    gr.on(
        [context.news.runs["evaluate"].change, panel.change, *changes],
        show,
        [panel, context.lang, results["search"], results["page"], seen],
        [results["box"], results["scores"], results["table"], seen],
        show_progress="hidden",
        api_visibility="private",
    )


def _mtime(folder: Path) -> float:
    file = folder / run_folder.RESULTS
    return file.stat().st_mtime if file.is_file() else 0.0


def scores(folder: Path, lang: str) -> list[list[str]]:
    """The final metrics of an evaluation, in the visitor's words."""
    results = read_json(folder / run_folder.RESULTS)
    rows = []
    for name, value in results.items():
        if isinstance(value, int | float):
            key = f"score.{name}"
            rows.append([t(key, lang) if has(key) else name, localize(f"{value:.4g}", lang)])
    return rows


def predictions(folder: Path, search: str, page: int) -> list[list[str]]:
    """One page of prompt, label, prediction; `search` keeps rows that contain it."""
    file = folder / "generated_predictions.jsonl"
    if not file.is_file() or file.is_symlink():
        return []
    wanted, rows = search.strip().lower(), []
    with open(file, encoding="utf-8", opener=boundary.open_own) as lines:
        for line in lines:
            if wanted in line.lower():
                rows.append(_cells(line))
            if len(rows) >= page * PAGE:
                break
    return rows[(page - 1) * PAGE : page * PAGE]


def _cells(line: str) -> list[str]:
    try:
        row = json.loads(line)
    except ValueError:
        return ["", "", ""]
    return [str(row.get(name, "")) for name in COLUMNS]
