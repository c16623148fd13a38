"""The part of a run panel that sets a training up again, with the change that helps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts, say, t
from app.services import cures, runs
from app.tabs.context import Context
from backend.contract.run_folder import RunView


def draw(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    """The cure in words, or as a command to copy, and the button."""
    with gr.Row(elem_classes="run-again"):
        cure = gr.Textbox(
            visible=False,
            interactive=False,
            lines=1,
            max_lines=6,
            scale=3,
            min_width=200,
            buttons=["copy"],
            elem_id=f"{prefix}-run-cure",
            elem_classes="cure",
            **say({"label": "panel.cure"}),
        )
        parts["cure"] = texts.add(cure, label="panel.cure")
        parts["again"] = gr.Button(
            visible=False,
            size="md",
            scale=1,
            min_width=150,
            elem_id=f"{prefix}-run-again",
            **say({"value": "panel.again"}),
        )


def stamps(view: RunView, lang: str) -> dict[str, Any]:
    """What both show for a run."""
    if view.task != "train" or not view.ended:
        return {"cure": {"visible": False}, "again": {"visible": False}}
    cure = cures.of(view)
    words = cure.words(cures.arguments(view), lang)
    label = t("panel.again_changed" if cure.changes else "panel.again", lang)
    return {
        "cure": {"value": words, "visible": bool(words)},
        "again": {"value": label, "visible": True},
    }


def wire(context: Context, form: Form, panels: Sequence[Any]) -> None:
    """The button of each panel fills the Train form with its run's arguments and the change."""

    def fill(path: str) -> list[Any]:
        view = runs.view(Path(path))
        values = {**cures.arguments(view), **cures.of(view).changes}
        return [gr.Tabs(selected="train"), gr.update(value=view.model), *form.fill(values)]

    outputs = [context.tabs, context.model_name, *form.components]
    for panel in panels:
        panel.again.click(fill, panel.run, outputs, api_visibility="private")
