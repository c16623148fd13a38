"""The Export tab: one folder with merged weights, tokenizer, template and Modelfile, or GGUF."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form, Raw, change
from app.form.schema import EXTRA, Section
from app.tabs.run import run_panel
from app.tabs.run.launching import Launcher
from app.tabs.shared.context import Context
from backend.contract.arguments.names import to_name
from backend.contract.folders.home import home, relative, saves
from backend.contract.launching import launch
from backend.contract.registry.dataset_info import names
from backend.contract.runs.checkpoints import FOLDER
from backend.contract.runs.run_folder import RunView

FIELDS = (
    "export_dir",
    "export_format",
    "gguf_type",
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
    """Draw the tab and wire it; returns the form and the panel of a run."""
    form = Form("export", "export", SECTIONS, own=[EXTRA], bar=context.bar)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            form.draw(context.schemas)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            launcher = Launcher("export", form, suggest)
            launcher.draw()
            panel = run_panel.build(context, prefix="export")
    launcher.wire(panel)
    return {"panel": panel, "form": form}


def suggest(raw: Raw) -> Raw:
    """A new folder with the name of what is exported: that of the adapter's run, or the model's."""
    if raw.get("export_dir"):
        return {}
    held = raw.get("adapter_name_or_path") or []
    adapters = held if isinstance(held, list) else names(str(held))
    model = str(raw.get("model_name_or_path") or "")
    source = Path(adapters[-1] if adapters else model)
    is_point = FOLDER.fullmatch(source.name) is not None
    name = f"{source.parent.name}-{source.name}" if is_point else source.name
    if not name:
        return {}
    folder = saves() / "models" / to_name(name)
    if home() / source == folder:
        folder = folder.with_name(f"{folder.name}-export")
    return {"export_dir": relative(launch.free_folder(folder))}


def fill(_: RunView) -> Any:
    """The update of the form that exports a training, into the folder that is suggested for it."""
    return change({"export_dir": ""})
