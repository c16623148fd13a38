"""LoRA and its variants, and the options that other adapters share with it."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup
from backend.contract.arguments.methods import ADAPTERS, REPARAMETRISED

LORA: When = (("finetuning_type", ("lora",)),)
DELTAS: When = (("finetuning_type", ("lora", "adalora")),)
TARGETED: When = (("finetuning_type", ("lora", "adalora", "ia3", "vera")),)
OF_LORA = FieldGroup("lora", LORA)


FIELDS = (
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
