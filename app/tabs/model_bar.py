"""The model bar: name, path, method, checkpoints; the rest under "more". Shared by all tabs."""

from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts
from app.services import catalog
from backend.contract.fields import FIELDS
from backend.contract.template_names import OFFERED

MAIN = ("model_name_or_path", "finetuning_type", "adapter_name_or_path")
MORE = (
    "template",
    "hub_name",
    "quantization_bit",
    "quantization_method",
    "quantization_type",
    "double_quantization",
    "rope_scaling",
    "flash_attn",
    "resize_vocab",
    "add_tokens",
    "add_special_tokens",
    "new_special_tokens_config",
    "default_system",
    "enable_thinking",
    "model_revision",
    "cache_dir",
    "hf_hub_token",
    "ms_hub_token",
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
    _offer({"model_name": name, **_boxes(form)})


def keep_fresh(form: Form, bar: Form) -> None:
    """The same for the boxes of another form that name models, adapters or reward models."""
    _offer({key: box for key, box in _boxes(form).items() if key not in bar.widgets})


def _boxes(form: Form) -> dict[str, Any]:
    wanted = {row.name for row in FIELDS.values() if row.widget in OFFERS}
    return {name: box for name, box in form.widgets.items() if name in wanted}


def _offer(boxes: dict[str, Any]) -> None:
    """Read the choices of these boxes again every few seconds; sent where they have changed."""
    if not boxes:
        return
    kinds = [FIELDS[name].widget if name in FIELDS else name for name in boxes]
    seen, timer = gr.State(None), gr.Timer(REFRESH_S)

    def refresh(before: list[Any] | None) -> list[Any]:
        found = {kind: OFFERS[kind]() for kind in dict.fromkeys(kinds)}
        now = [found[kind] for kind in kinds]
        if now == before:
            return [gr.skip()] * (len(kinds) + 1)
        return [*(gr.update(choices=one) for one in now), now]

    gr.on(
        [timer.tick, gr.context.Context.root_block.load],
        refresh,
        seen,
        [*boxes.values(), seen],
        show_progress="hidden",
        api_visibility="private",
    )


def model_choices() -> list[tuple[str, str]]:
    """Local folders, finished runs that hold a whole model, then the catalog, by name."""
    models = catalog.models()
    local = [(model.name, model.name) for model in models if model.local]
    hub = [(model.name, model.name) for model in models if not model.local]
    return local + catalog.trained_models() + hub


# The kind of a box -> what it offers.
OFFERS = {
    "model_name": model_choices,
    "model": catalog.model_paths,
    "adapter": catalog.trained_adapters,
    "reward_model": catalog.reward_models,
}
