"""The model: what is loaded and how."""

from backend.contract.field import Field
from backend.contract.methods import ADAPTERS, WHOLE

EVERY = ("train", "eval", "chat", "api", "export")
LOADED = ("train", "eval", "chat", "api")

ROWS = (
    Field(
        name="model_name_or_path",
        kind="path",
        default=None,
        group="model",
        tasks=EVERY,
        optional=True,
    ),
    Field(
        name="adapter_name_or_path",
        kind="list",
        default=None,
        group="model",
        tasks=EVERY,
        optional=True,
        widget="adapter",
    ),
    Field(
        name="finetuning_type",
        kind="choice",
        default="lora",
        group="model",
        choices=("lora", *WHOLE, *ADAPTERS[1:]),
        tasks=EVERY,
    ),
    Field(
        name="template", kind="text", default="auto", group="model", tasks=EVERY, widget="template"
    ),
    Field(
        name="default_system",
        kind="text",
        default=None,
        group="model",
        tasks=LOADED,
        optional=True,
        advanced=True,
        widget="area",
    ),
    Field(
        name="hub_name",
        kind="choice",
        default="huggingface",
        group="model",
        choices=("huggingface", "modelscope"),
        tasks=EVERY,
        advanced=True,
    ),
    Field(
        name="model_revision",
        kind="text",
        default="main",
        group="model",
        tasks=EVERY,
        advanced=True,
    ),
    Field(
        name="cache_dir",
        kind="path",
        default=None,
        group="model",
        tasks=EVERY,
        optional=True,
        advanced=True,
    ),
    Field(
        name="hf_hub_token",
        kind="text",
        default=None,
        group="model",
        tasks=EVERY,
        optional=True,
        secret=True,
        advanced=True,
        to="HF_TOKEN",
    ),
    Field(
        name="rope_scaling",
        kind="choice",
        default=None,
        group="model",
        choices=("linear", "dynamic", "yarn", "llama3"),
        tasks=LOADED,
        optional=True,
        advanced=True,
    ),
    Field(
        name="flash_attn",
        kind="choice",
        default="auto",
        group="model",
        choices=("auto", "disabled", "sdpa", "fa2", "fa3"),
        tasks=LOADED,
        advanced=True,
    ),
    Field(
        name="resize_vocab",
        kind="bool",
        default=False,
        group="model",
        tasks=("train",),
        advanced=True,
    ),
    Field(
        name="use_fast_tokenizer",
        kind="bool",
        default=True,
        group="model",
        tasks=EVERY,
        advanced=True,
        widget="none",
    ),
    Field(
        name="trust_remote_code",
        kind="bool",
        default=False,
        group="model",
        tasks=EVERY,
        advanced=True,
    ),
)
