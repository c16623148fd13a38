"""Adapters other than LoRA: OFT, AdaLoRA, VeRA, and soft prompts. Their page group is LoRA's."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

GROUP = "lora"
OFT: When = (("finetuning_type", ("oft",)),)
ADALORA: When = (("finetuning_type", ("adalora",)),)
VERA: When = (("finetuning_type", ("vera",)),)
SOFT_PROMPTS: When = (("finetuning_type", ("prompt", "prefix", "ptuning")),)
PEFT = FieldGroup(GROUP)


FIELDS = (
    PEFT.count("oft_rank", 0, 0, 4096, OFT),
    PEFT.count("oft_block_size", 32, 1, 4096, (*OFT, ("oft_rank", (0,)))),
    PEFT.number("module_dropout", 0.0, 0.0, 1.0, OFT),
    PEFT.field("oft_target", "list", "all", OFT),
    PEFT.count("adalora_init_r", 12, 2, 1024, ADALORA),
    PEFT.count("adalora_target_r", 8, 1, 1023, ADALORA),
    PEFT.count("vera_rank", 256, 1, 65_536, VERA),
    PEFT.count("num_virtual_tokens", 20, 1, 4096, SOFT_PROMPTS),
    PEFT.field(
        "prompt_tuning_init_text",
        "text",
        None,
        (("finetuning_type", ("prompt", "prefix")),),
        widget="area",
    ),
    PEFT.count("encoder_hidden_size", 128, 1, 65_536, (("finetuning_type", ("ptuning",)),)),
)
