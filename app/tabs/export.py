"""The Export tab: one folder with merged weights, tokenizer, template and Modelfile."""

from typing import Any

import gradio as gr

from app.form.form import Form, change
from app.form.schema import EXTRA, Section
from app.tabs.run import run_panel
from app.tabs.run.launching import Launcher
from app.tabs.shared.context import Context
from backend.contract.base.home import relative, saves
from backend.contract.launching import launch
from backend.contract.runs.run_folder import RunView

FIELDS = (
    "export_dir",
    "export_dtype",
    "export_size",
    "export_hub_model_id",
    "export_quantization_bit",
    "export_modelfile",
    "export_quantization_dataset",
    "export_quantization_nsamples",
    "export_quantization_maxlen",
    "export_device",
)
SECTIONS = (Section("what", "", (*FIELDS, EXTRA.name), slot="first", width=3),)


def build(context: Context) -> dict[str, Any]:
    """Draw the tab and wire it; returns the panel and the button that opens the result in Chat."""
    texts = context.texts
    form = Form("export", "export", SECTIONS, own=[EXTRA], bar=context.bar)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            form.draw(context.schemas)
            chat = texts.make(gr.Button, {"value": "export.open"}, elem_id="export-open")
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            launcher = Launcher("export", form, context)
            launcher.draw()
            panel = run_panel.build(context, prefix="export")
    launcher.wire(panel)
    return {"panel": panel, "open": chat, "form": form}


def fill(view: RunView) -> Any:
    """The update of the form that exports a training, into a folder of its name."""
    return change({"export_dir": relative(launch.free_folder(saves() / "models" / view.name))})
