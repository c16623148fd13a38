"""The methods of tuning (`finetuning_type`): LoRA and its variants, other adapters, freeze."""

from backend.contract.arguments.field import FieldGroup, When

WHOLE = ("full", "freeze")  # the whole model is saved
REPARAMETRISED = (
    "lora",
    "oft",
    "adalora",
    "ia3",
    "vera",
)  # in layers: can be merged
SOFT_PROMPTS = ("prompt", "prefix", "ptuning")  # learned tokens before the text: no layer changes
ADAPTERS = (*REPARAMETRISED, *SOFT_PROMPTS)  # a small folder beside the base model is saved
QUANTIZABLE = ("lora", "oft")  # learn over a quantized base
NOT_CONTINUED = ("adalora", "ptuning")  # their folder does not hold enough to train on


def is_adapter(method: object) -> bool:
    """Whether a method saves an adapter instead of a whole model."""
    return method in ADAPTERS


LORA: When = (("finetuning_type", ("lora",)),)
DELTAS: When = (("finetuning_type", ("lora", "adalora")),)
TARGETED: When = (("finetuning_type", ("lora", "adalora", "ia3", "vera")),)
OF_LORA = FieldGroup("lora", LORA)


LORA_FIELDS = (
    OF_LORA.count("lora_rank", 8, 1, 1024),
    OF_LORA.count("lora_alpha", None, 1, 2048, DELTAS),
    OF_LORA.number(
        "lora_dropout", 0.0, 0.0, 1.0, (("finetuning_type", ("lora", "adalora", "vera")),)
    ),
    OF_LORA.field("lora_target", "list", "all", TARGETED),
    OF_LORA.field("additional_target", "list", None, (("finetuning_type", REPARAMETRISED),)),
    OF_LORA.number("loraplus_lr_ratio", None, 0.0, 1024.0),
    OF_LORA.number("loraplus_lr_embedding", 1e-6, 0.0, 1.0, widget="none"),
    OF_LORA.switch("create_new_adapter", when=(("finetuning_type", ADAPTERS),)),
    OF_LORA.switch("use_rslora"),
    OF_LORA.switch("use_dora"),
    OF_LORA.choice("init_lora_weights", ("default", "gaussian", "olora", "loftq")),
    OF_LORA.switch("pissa_init"),
    OF_LORA.count("pissa_iter", 16, -1, 1000, (*LORA, ("pissa_init", (True,)))),
    OF_LORA.switch("pissa_convert", when=(*LORA, ("pissa_init", (True,)))),
)


GROUP = "lora"
OFT: When = (("finetuning_type", ("oft",)),)
ADALORA: When = (("finetuning_type", ("adalora",)),)
VERA: When = (("finetuning_type", ("vera",)),)
PROMPTED: When = (("finetuning_type", ("prompt", "prefix", "ptuning")),)
PEFT = FieldGroup(GROUP)


PEFT_FIELDS = (
    PEFT.count("oft_rank", 0, 0, 4096, OFT),
    PEFT.count("oft_block_size", 32, 1, 4096, (*OFT, ("oft_rank", (0,)))),
    PEFT.number("module_dropout", 0.0, 0.0, 1.0, OFT),
    PEFT.field("oft_target", "list", "all", OFT),
    PEFT.count("adalora_init_r", 12, 2, 1024, ADALORA),
    PEFT.count("adalora_target_r", 8, 1, 1023, ADALORA),
    PEFT.count("vera_rank", 256, 1, 65_536, VERA),
    PEFT.count("num_virtual_tokens", 20, 1, 4096, PROMPTED),
    PEFT.field(
        "prompt_tuning_init_text",
        "text",
        None,
        (("finetuning_type", ("prompt", "prefix")),),
        widget="area",
    ),
    PEFT.count("encoder_hidden_size", 128, 1, 65_536, (("finetuning_type", ("ptuning",)),)),
)


FREEZE: When = (("finetuning_type", ("freeze",)),)
FREEZING = FieldGroup("freeze")


FREEZE_FIELDS = (
    FREEZING.switch("use_llama_pro", (("finetuning_type", ("freeze", "lora")),)),
    FREEZING.count("freeze_trainable_layers", 2, -128, 128, FREEZE),
    FREEZING.field("freeze_trainable_modules", "list", "all", FREEZE),
    FREEZING.field("freeze_extra_modules", "list", None, FREEZE),
)
