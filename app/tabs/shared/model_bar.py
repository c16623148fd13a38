"""The model bar: name, path, method, checkpoints; the rest under "more". Shared by all tabs."""

from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts
from app.services.models import catalog
from app.tabs.shared.clock import News
from backend.contract.arguments.fields import FIELDS
from backend.contract.models.template_names import OFFERED

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


def build(texts: Texts, news: News) -> tuple[Form, Any]:
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
    _offer({"model_name": name, **_boxes(form)}, news)
    return form, name


def path_for(name: str | None, hub: str) -> str:
    """The path or hub id for a chosen name."""
    return catalog.path_of(name or "", hub)


def keep_fresh(form: Form, bar: Form, news: News) -> None:
    """New models and finished runs appear in the boxes of another form, too."""
    _offer({key: box for key, box in _boxes(form).items() if key not in bar.widgets}, news)


def _boxes(form: Form) -> dict[str, Any]:
    wanted = {row.name for row in FIELDS.values() if row.widget in OFFERS}
    return {name: box for name, box in form.widgets.items() if name in wanted}


def _offer(boxes: dict[str, Any], news: News) -> None:
    """Read the choices of these boxes again when there are other models."""
    kinds = [FIELDS[name].widget if name in FIELDS else name for name in boxes]

    def refresh() -> list[Any]:
        offers = {kind: OFFERS[kind]() for kind in dict.fromkeys(kinds)}
        return [gr.update(choices=offers[kind]) for kind in kinds]

    news.models.change(
        refresh, None, [*boxes.values()], show_progress="hidden", api_visibility="private"
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
