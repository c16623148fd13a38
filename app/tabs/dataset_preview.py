"""The data sets that can be chosen, and a look at them before anything is spent on them."""

from typing import Any

import gradio as gr

from app.form import Form
from app.tabs import data_view
from backend.contract import dataset_info
from backend.contract.problems import TuneboardError

REFRESH_S = 5


def build(form: Form) -> data_view.Parts:
    """Draw the look at the data under the data-set boxes and keep their choices fresh.

    Returns what data_view.wire wants once the whole form is drawn.
    """
    texts = form.texts
    with texts.make(gr.Accordion, {"label": "preview.title"}, open=False, elem_id="preview"):
        form.add("dataset_dir")
        parts = data_view.draw(texts, "preview")
    names_ = ("dataset", "eval_dataset")
    keep_fresh(form.widgets["dataset_dir"], [form.widgets[name] for name in names_])
    return parts


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
