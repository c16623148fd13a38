"""The data sets that can be chosen, and a look at them before anything is spent on them."""

from typing import Any

import gradio as gr

from app.form.form import Form
from app.form.offers import datasets
from app.i18n import Texts
from app.tabs.data.data_view import DataView, Source
from app.tabs.shared.clock import News


def build(texts: Texts, form: Form) -> DataView:
    """Draw the look at the data of a form, in it."""
    with texts.make(gr.Accordion, {"label": "preview.title"}, open=False, elem_id="preview"):
        return DataView("preview", form.key).draw()


def wire(view: DataView, form: Form) -> None:
    """Wire the look to the form that it stands in."""
    view.wire(Source(form.inputs, lambda box_values: form.values(box_values)[0]))


def keep_fresh(news: News, dataset_dir: Any, boxes: list[Any]) -> None:
    """The registered data sets as choices, read again where the registry is another one."""
    news.folders.append(dataset_dir)

    def refresh(folder: str) -> Any:
        update = gr.update(choices=datasets(folder))
        return [update] * len(boxes) if len(boxes) > 1 else update

    news.sets.change(refresh, dataset_dir, boxes, show_progress="hidden", api_visibility="private")
