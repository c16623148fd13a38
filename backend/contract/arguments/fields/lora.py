"""LoRA and its family, and what other adapters share with it."""

from backend.contract.arguments.field import When
from backend.contract.arguments.methods import ADAPTERS, REPARAMETRISED
from backend.contract.arguments.rows import Rows

LORA: When = (("finetuning_type", ("lora",)),)
DELTAS: When = (("finetuning_type", ("lora", "adalora")),)
TARGETED: When = (("finetuning_type", ("lora", "adalora", "ia3", "vera")),)
LORA_ROWS = Rows("lora", LORA)


ROWS = (
    LORA_ROWS.count("lora_rank", 8, 1, 1024),
    LORA_ROWS.count("lora_alpha", None, 1, 2048, DELTAS),
    LORA_ROWS.number(
        "lora_dropout", 0.0, 0.0, 1.0, (("finetuning_type", ("lora", "adalora", "vera")),)
    ),
    LORA_ROWS.row("lora_target", "list", "all", TARGETED),
    LORA_ROWS.row("additional_target", "list", None, (("finetuning_type", REPARAMETRISED),)),
    LORA_ROWS.number("loraplus_lr_ratio", None, 0.0, 1024.0),
    LORA_ROWS.number("loraplus_lr_embedding", 1e-6, 0.0, 1.0, widget="none"),
    LORA_ROWS.switch("create_new_adapter", when=(("finetuning_type", ADAPTERS),)),
    LORA_ROWS.switch("use_rslora"),
    LORA_ROWS.switch("use_dora"),
    LORA_ROWS.choice("init_lora_weights", ("default", "gaussian", "olora", "loftq")),
    LORA_ROWS.switch("pissa_init"),
    LORA_ROWS.count("pissa_iter", 16, -1, 1000, (*LORA, ("pissa_init", (True,)))),
    LORA_ROWS.switch("pissa_convert", when=(*LORA, ("pissa_init", (True,)))),
)
