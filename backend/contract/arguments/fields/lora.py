"""LoRA and its family, and what other adapters share with it."""

from backend.contract.arguments.field import Field, When
from backend.contract.arguments.methods import ADAPTERS, REPARAMETRISED
from backend.contract.arguments.rows import Rows

LORA: When = (("finetuning_type", ("lora",)),)
DELTAS: When = (("finetuning_type", ("lora", "adalora")),)
TARGETED: When = (("finetuning_type", ("lora", "adalora", "ia3", "vera")),)
LORA_ROWS = Rows("lora", LORA)


ROWS = (
    Field(
        name="lora_rank",
        kind="int",
        default=8,
        group="lora",
        low=1,
        high=1024,
        when=LORA,
    ),
    Field(
        name="lora_alpha",
        kind="int",
        default=None,
        group="lora",
        low=1,
        high=2048,
        when=DELTAS,
        optional=True,
    ),
    Field(
        name="lora_dropout",
        kind="float",
        default=0.0,
        group="lora",
        low=0.0,
        high=1.0,
        when=(("finetuning_type", ("lora", "adalora", "vera")),),
    ),
    LORA_ROWS.row("lora_target", "list", "all", TARGETED),
    LORA_ROWS.row("additional_target", "list", None, (("finetuning_type", REPARAMETRISED),)),
    Field(
        name="loraplus_lr_ratio",
        kind="float",
        default=None,
        group="lora",
        low=0.0,
        high=1024.0,
        when=LORA,
        optional=True,
    ),
    Field(
        name="loraplus_lr_embedding",
        kind="float",
        default=1e-6,
        group="lora",
        low=0.0,
        high=1.0,
        when=LORA,
        widget="none",
    ),
    LORA_ROWS.switch("create_new_adapter", when=(("finetuning_type", ADAPTERS),)),
    LORA_ROWS.switch("use_rslora"),
    LORA_ROWS.switch("use_dora"),
    Field(
        name="init_lora_weights",
        kind="choice",
        default="default",
        group="lora",
        choices=("default", "gaussian", "olora", "loftq"),
        when=LORA,
    ),
    LORA_ROWS.switch("pissa_init"),
    Field(
        name="pissa_iter",
        kind="int",
        default=16,
        group="lora",
        low=-1,
        high=1000,
        when=(*LORA, ("pissa_init", (True,))),
    ),
    LORA_ROWS.switch("pissa_convert", when=(*LORA, ("pissa_init", (True,)))),
)
