"""The model: what is loaded and how."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.methods import ADAPTERS, WHOLE

EVERY = ("train", "eval", "chat", "api", "export")
FOR_VOCAB = (*EVERY, "vocab")
LOADED = ("train", "eval", "chat", "api")

ROWS = (
    Field(
        name="model_name_or_path",
        kind="path",
        default=None,
        group="model",
        tasks=FOR_VOCAB,
        optional=True,
    ),
    Field(
        name="adapter_name_or_path",
        kind="list",
        default=None,
        group="model",
        tasks=FOR_VOCAB,
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
        widget="area",
    ),
    Field(
        name="hub_name",
        kind="choice",
        default="huggingface",
        group="model",
        choices=("huggingface", "modelscope"),
        tasks=FOR_VOCAB,
    ),
    Field(
        name="model_revision",
        kind="text",
        default="main",
        group="model",
        tasks=FOR_VOCAB,
    ),
    Field(
        name="cache_dir",
        kind="path",
        default=None,
        group="model",
        tasks=FOR_VOCAB,
        optional=True,
    ),
    Field(
        name="hf_hub_token",
        kind="text",
        default=None,
        group="model",
        tasks=FOR_VOCAB,
        optional=True,
        secret=True,
        to="HF_TOKEN",
    ),
    Field(
        name="ms_hub_token",
        kind="text",
        default=None,
        group="model",
        tasks=FOR_VOCAB,
        when=(("hub_name", ("modelscope",)),),
        optional=True,
        secret=True,
        to="MODELSCOPE_API_TOKEN",
    ),
    Field(
        name="rope_scaling",
        kind="choice",
        default=None,
        group="model",
        choices=("linear", "dynamic", "yarn", "llama3"),
        tasks=LOADED,
        optional=True,
    ),
    Field(
        name="flash_attn",
        kind="choice",
        default="auto",
        group="model",
        choices=("auto", "disabled", "sdpa", "fa2", "fa3"),
        tasks=LOADED,
    ),
    Field(
        name="resize_vocab",
        kind="bool",
        default=False,
        group="model",
        tasks=("train",),
    ),
    Field(
        name="use_fast_tokenizer",
        kind="bool",
        default=True,
        group="model",
        tasks=EVERY,
        widget="none",
    ),
    Field(
        name="trust_remote_code",
        kind="bool",
        default=False,
        group="model",
        tasks=FOR_VOCAB,
    ),
)
