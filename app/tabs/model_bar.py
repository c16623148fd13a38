"""The model bar: name, path, method, checkpoints; the rest under "more". Shared by all tabs."""

from pathlib import Path
from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts
from app.services import catalog, runs
from backend.contract.home import home
from backend.contract.run_folder import RunView, State, checkpoints
from backend.contract.template_names import OFFERED

MAIN = ("model_name_or_path", "finetuning_type", "adapter_name_or_path")
MORE = (
    "template",
    "hub_name",
    "quantization_bit",
    "quantization_type",
    "double_quantization",
    "rope_scaling",
    "flash_attn",
    "resize_vocab",
    "default_system",
    "enable_thinking",
    "model_revision",
    "cache_dir",
    "hf_hub_token",
    "trust_remote_code",
)
REFRESH_S = 5


def build(texts: Texts) -> tuple[Form, Any]:
    """Draw the bar; returns its form and the model-name box."""
    form = Form("train", texts)
    with gr.Row(elem_id="model-bar", elem_classes="fields"):
        name = texts.make(
            gr.Dropdown,
            {"label": "bar.model_name", "info": "bar.model_name_help"},
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="model_name",
        )
        form.add(*MAIN)
    form.group("model", MORE, key="bar.more")
    form.widgets["template"].choices = [(one, one) for one in OFFERED]
    name.input(path_for, [name, form.widgets["hub_name"]], form.widgets["model_name_or_path"])
    _keep_fresh(form, name)
    return form, name


def path_for(name: str | None, hub: str) -> str:
    """The path or hub id for a chosen name."""
    return catalog.path_of(name or "", hub)


def _keep_fresh(form: Form, name: Any) -> None:
    """New models and finished runs appear in the boxes within seconds."""
    seen = gr.State(None)
    timer = gr.Timer(REFRESH_S)
    outputs = [name, form.widgets["adapter_name_or_path"], seen]

    def refresh(before: list[Any] | None) -> list[Any]:
        now = [model_choices(), adapter_choices()]
        if now == before:
            return [gr.skip()] * 3
        return [gr.update(choices=now[0]), gr.update(choices=now[1]), now]

    gr.on(
        [timer.tick, gr.context.Context.root_block.load],
        refresh,
        seen,
        outputs,
        show_progress="hidden",
        api_visibility="private",
    )


def model_choices() -> list[tuple[str, str]]:
    """Local folders, finished full runs, then the catalog."""
    models = catalog.models()
    local = [(model.name, model.name) for model in models if model.local]
    trained = [
        (_label(view.path), relative(view.path)) for view in _finished() if not _adapter(view)
    ]
    return local + trained + [(m.name, m.name) for m in models if not m.local]


def adapter_choices() -> list[tuple[str, str]]:
    """Finished LoRA runs, each followed by its checkpoints with step and evaluation loss."""
    found: list[tuple[str, str]] = []
    for view in runs.snapshot():
        if view.task != "train" or view.method != "lora":
            continue
        if _adapter(view):
            found.append((_label(view.path), relative(view.path)))
        for point in checkpoints(view.path):
            loss = f" · eval {point.eval_loss:.4f}" if point.eval_loss is not None else ""
            found.append((f"{_label(view.path)} · step {point.step}{loss}", relative(point.path)))
    return found


def relative(path: Path) -> str:
    """A path as people write it: from the working folder where it lies inside."""
    return str(path.relative_to(home())) if path.is_relative_to(home()) else str(path)


def _finished() -> list[RunView]:
    done = {State.SUCCEEDED, State.STOPPED}
    return [
        view
        for view in runs.snapshot()
        if view.task == "train" and view.state in done and (view.path / "config.json").is_file()
    ]


def _adapter(view: RunView) -> bool:
    return catalog.is_adapter(view.path)


def _label(path: Path) -> str:
    return "/".join(path.parts[-3:])
