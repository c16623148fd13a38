"""The model: which one is loaded, how, with which new vocabulary, and quantized loading."""

from backend.contract.arguments.field import FieldGroup, When
from backend.contract.arguments.fields.methods import ADAPTERS, WHOLE

EVERY = ("train", "eval", "chat", "api", "export")
FOR_VOCAB = (*EVERY, "vocab")
LOADED = ("train", "eval", "chat", "api")
MODEL = FieldGroup("model")


MODEL_FIELDS = (
    MODEL.field("model_name_or_path", "path", None, tasks=FOR_VOCAB, widget="model"),
    MODEL.field("adapter_name_or_path", "list", None, tasks=FOR_VOCAB, widget="adapter"),
    MODEL.choice("finetuning_type", ("lora", *WHOLE, *ADAPTERS[1:]), tasks=EVERY),
    MODEL.field("template", "text", "auto", tasks=EVERY, widget="template"),
    MODEL.field("default_system", "text", None, tasks=LOADED, widget="area"),
    MODEL.choice("hub_name", ("huggingface", "modelscope"), tasks=FOR_VOCAB),
    MODEL.field("model_revision", "text", "main", tasks=FOR_VOCAB),
    MODEL.field("cache_dir", "path", None, tasks=FOR_VOCAB),
    MODEL.field("hf_hub_token", "text", None, tasks=FOR_VOCAB, secret=True, to="HF_TOKEN"),
    MODEL.field(
        "ms_hub_token",
        "text",
        None,
        (("hub_name", ("modelscope",)),),
        tasks=FOR_VOCAB,
        secret=True,
        to="MODELSCOPE_API_TOKEN",
    ),
    MODEL.field(
        "rope_scaling",
        "choice",
        None,
        choices=("linear", "dynamic", "yarn", "llama3"),
        tasks=LOADED,
    ),
    MODEL.choice("flash_attn", ("auto", "disabled", "sdpa", "fa2", "fa3"), tasks=LOADED),
    MODEL.switch("resize_vocab", tasks=("train",)),
    MODEL.field("use_fast_tokenizer", "bool", True, tasks=EVERY, widget="none"),
    MODEL.switch("trust_remote_code", tasks=FOR_VOCAB),
)


WORDS = FieldGroup("model")


VOCABULARY_FIELDS = (
    WORDS.field("add_tokens", "list", None),
    WORDS.field("add_special_tokens", "list", None),
    WORDS.field("new_special_tokens_config", "path", None),
)


VOCAB = FieldGroup("vocab", tasks=("vocab",))


PIECES_FIELDS = (
    VOCAB.count("new_pieces", 5000, 1, 1_000_000),
    VOCAB.count("fit_steps", 360, 0, 100_000),
    VOCAB.field("known_dataset", "list", None, widget="dataset"),
)


BITSANDBYTES_4: When = (("quantization_bit", ("4",)), ("quantization_method", ("bnb",)))
QUANTIZATION = FieldGroup("quantization")


QUANTIZATION_FIELDS = (
    QUANTIZATION.field("quantization_bit", "choice", None, choices=("4", "8"), tasks=LOADED),
    QUANTIZATION.choice(
        "quantization_method", ("bnb", "torchao"), (("quantization_bit", ("4", "8")),), tasks=LOADED
    ),
    QUANTIZATION.choice("quantization_type", ("nf4", "fp4"), BITSANDBYTES_4, tasks=LOADED),
    QUANTIZATION.field("double_quantization", "bool", True, BITSANDBYTES_4, tasks=LOADED),
)
