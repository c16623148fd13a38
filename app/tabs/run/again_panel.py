"""Set a training up again from its panel, with the change that helps."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.form.form import Form
from app.services.runs import fixes, runs
from app.tabs.shared.context import Context


def wire(context: Context, form: Form, panels: Sequence[Any]) -> None:
    """`again` of a panel fills the Train form with the run's arguments and the change."""

    def fill(name: str) -> list[Any]:
        folder = runs.find_folder(name)
        if folder is None:
            return [gr.skip()] * (len(form.inputs) + 1)
        view = runs.view(folder)
        values = {**fixes.arguments(view), **fixes.find_fix(view).changes}
        return [gr.Tabs(selected="train"), *form.fill(values)]

    outputs = [context.tabs, *form.inputs]
    for panel in panels:
        panel.again(fill, panel, outputs, api_visibility="private")
