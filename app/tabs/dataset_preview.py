"""Pages of a data set's rows as they are in the file, before anything is spent on them."""

import json
from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts, t
from backend import datafiles
from backend.contract import dataset_info
from backend.contract.problems import TuneboardError

PAGE = 5
REFRESH_S = 5


def build(form: Form, lang: Any) -> None:
    """Draw the preview under the data-set boxes and keep their choices fresh.

    Only the rows that are shown are read.
    """
    texts = form.texts
    with texts.make(gr.Accordion, {"label": "preview.title"}, open=False, elem_id="preview"):
        form.add("dataset_dir")
        with gr.Row():
            buttons = {name: _button(texts, name) for name in ("show", "previous", "next")}
        where = gr.Textbox(
            show_label=False, interactive=False, container=False, elem_id="preview-where"
        )
        rows = gr.Code(
            interactive=False,
            wrap_lines=True,
            max_lines=24,
            show_label=False,
            elem_id="preview-rows",
        )
    dataset, dataset_dir = form.widgets["dataset"], form.widgets["dataset_dir"]
    start = gr.State(0)
    for name, step in (("show", None), ("previous", -PAGE), ("next", PAGE)):

        def turn(
            lang: str, chosen: list[str], folder: str, at: int, step: int | None = step
        ) -> list[Any]:
            first = 0 if step is None else max(0, at + step)
            return [*page(lang, chosen, folder, first), first]

        buttons[name].click(
            turn,
            [lang, dataset, dataset_dir, start],
            [where, rows, start],
            api_visibility="private",
        )
    keep_fresh(dataset_dir, [dataset, form.widgets["eval_dataset"]])


def keep_fresh(dataset_dir: Any, boxes: list[Any]) -> None:
    """The registered data sets as choices, read again every few seconds."""
    seen, timer = gr.State(None), gr.Timer(REFRESH_S)

    def refresh(folder: str, before: list[str] | None) -> list[Any]:
        now = names(folder)
        if now == before:
            return [gr.skip()] * (len(boxes) + 1)
        return [*[gr.update(choices=now) for _ in boxes], now]

    gr.on(
        [timer.tick, dataset_dir.change, gr.context.Context.root_block.load],
        refresh,
        [dataset_dir, seen],
        [*boxes, seen],
        show_progress="hidden",
        api_visibility="private",
    )


def names(folder: str) -> list[str]:
    """Registered data sets; none where the folder has no readable registry."""
    try:
        return sorted(dataset_info.entries(folder))
    except TuneboardError:
        return []


def _button(texts: Texts, name: str) -> Any:
    key = f"preview.{name}"
    return texts.make(gr.Button, {"value": key}, size="sm", elem_id=f"preview-{name}")


def page(lang: str, chosen: list[str], folder: str, first: int) -> list[str]:
    """[where we are, the rows as JSON] of the first chosen set."""
    if not chosen:
        return [t("preview.nothing", lang), ""]
    try:
        path = dataset_info.path_of(chosen[0], folder)
        if path is None:
            return [t("preview.on_hub", lang, name=chosen[0]), ""]
        found = datafiles.page(path, first, PAGE)
    except TuneboardError as error:
        return ["\n".join(problem.text(lang) for problem in error.problems), ""]
    total = "?" if found.total is None else f"{found.total:,}"
    last = first + len(found.rows)
    where = t("preview.where", lang, name=chosen[0], first=first + 1, last=last, total=total)
    return [where, json.dumps(found.rows, ensure_ascii=False, indent=2, default=str)]
