"""The model bar: model, method, adapters; the rest under "more". Shared by all tabs."""

from app.form.form import Form, Schemas
from app.form.schema import Section

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
    Section("main", "", MAIN, width=3),
    Section("model", "bar.more", MORE, closed=True, width=3),
)


def build(schemas: Schemas) -> Form:
    """Draw the bar; returns its form."""
    form = Form("train", "bar", SECTIONS)
    form.draw(schemas)
    return form
