"""The data sets that can be chosen, and a look at them before anything is spent on them."""

from typing import Any

import gradio as gr

from app.form import Form
from app.tabs.data import data_view
from app.tabs.shared.clock import News
from backend.contract.base.problems import TuneboardError
from backend.contract.registry import dataset_info


def build(form: Form, news: News) -> data_view.Parts:
    """Draw the look at the data under the data-set boxes and keep their choices fresh.

    Returns what data_view.wire wants once the whole form is drawn.
    """
    texts = form.texts
    with texts.make(gr.Accordion, {"label": "preview.title"}, open=False, elem_id="preview"):
        form.add("dataset_dir")
        parts = data_view.draw(texts, "preview")
    names_ = ("dataset", "eval_dataset")
    keep_fresh(news, form.widgets["dataset_dir"], [form.widgets[name] for name in names_])
    return parts


def keep_fresh(news: News, dataset_dir: Any, boxes: list[Any]) -> None:
    """The registered data sets as choices, read again where the registry is another one."""
    news.folders.append(dataset_dir)

    def refresh(folder: str) -> Any:
        update = gr.update(choices=names(folder))
        return [update] * len(boxes) if len(boxes) > 1 else update

    news.sets.change(refresh, dataset_dir, boxes, show_progress="hidden", api_visibility="private")


def names(folder: str) -> list[str]:
    """Registered data sets; none where the folder has no readable registry."""
    try:
        return sorted(dataset_info.entries(folder))
    except TuneboardError:
        return []
