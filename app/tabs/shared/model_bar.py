"""The model bar: model, method, adapters, what the model is; the rest under "more".

Shared by the tabs that work with a model.
"""

from typing import Any

from app.form.component import Question, answer, make_component
from app.form.form import Form, Schemas
from app.form.schema import Section
from app.i18n import TextKeys, t
from app.services.models import facts
from app.tabs.shared import hub_box

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
SECTIONS = (
    Section("main", "", MAIN, slot="first", width=3),
    Section("model", "bar.more", MORE, closed=True, width=3),
)


def build(schemas: Schemas) -> Form:
    """Draw the bar; returns its form."""
    form = Form("train", "bar", SECTIONS)
    with form.draw(schemas, inside=True):
        make_component(
            "facts",
            '<dl class="facts" hidden></dl>',
            functions=[look_up],
            elem_id="model-facts",
            form=form.key,
        )
        hub_box.draw("model", form.key)
    return form


def draw_chosen(bar: Form) -> None:
    """The chosen model in one line, on a tab that works with it and does not show the bar."""
    keys = {name: f"bar.{name}" for name in ("model", "none", "change")}
    make_component(
        "chosen_model",
        '<p class="chosen-model"></p>',
        form=bar.key,
        words=TextKeys(keys),
    )


def look_up(asked: Any) -> Question:
    """What is known of a model in words, for {"model", "lang"}; no facts where nothing is."""
    return answer(_look_up, asked)


def _look_up(question: Question, lang: str) -> Question:
    known = facts.find(str(question.get("model", "")))
    words = facts.describe(known, lang) if known else []
    return {"title": t("facts.title", lang), "facts": words}
