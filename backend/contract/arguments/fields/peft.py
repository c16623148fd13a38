"""Adapters other than LoRA: OFT, AdaLoRA, VeRA, and soft prompts. Their page group is LoRA's."""

from backend.contract.arguments.field import Field, When
from backend.contract.arguments.rows import Rows

GROUP = "lora"
OFT: When = (("finetuning_type", ("oft",)),)
ADALORA: When = (("finetuning_type", ("adalora",)),)
VERA: When = (("finetuning_type", ("vera",)),)
SOFT_PROMPTS: When = (("finetuning_type", ("prompt", "prefix", "ptuning")),)
PEFT = Rows(GROUP)


ROWS = (
    PEFT.count("oft_rank", 0, 0, 4096, OFT),
    PEFT.count("oft_block_size", 32, 1, 4096, (*OFT, ("oft_rank", (0,)))),
    Field(
        name="module_dropout",
        kind="float",
        default=0.0,
        group=GROUP,
        low=0.0,
        high=1.0,
        when=OFT,
    ),
    Field(name="oft_target", kind="list", default="all", group=GROUP, when=OFT),
    PEFT.count("adalora_init_r", 12, 2, 1024, ADALORA),
    PEFT.count("adalora_target_r", 8, 1, 1023, ADALORA),
    PEFT.count("vera_rank", 256, 1, 65_536, VERA),
    PEFT.count("num_virtual_tokens", 20, 1, 4096, SOFT_PROMPTS),
    Field(
        name="prompt_tuning_init_text",
        kind="text",
        default=None,
        group=GROUP,
        when=(("finetuning_type", ("prompt", "prefix")),),
        optional=True,
        widget="area",
    ),
    PEFT.count("encoder_hidden_size", 128, 1, 65_536, (("finetuning_type", ("ptuning",)),)),
)
