"""What is known of the methods (`finetuning_type`): which leave the base model as it is."""

WHOLE = ("full", "freeze")  # the whole model is saved
REPARAMETRISED = ("lora", "oft", "adalora", "ia3", "vera")  # adapters inside layers: can be merged
SOFT_PROMPTS = ("prompt", "prefix", "ptuning")  # learned tokens before the text: no layer changes
ADAPTERS = (*REPARAMETRISED, *SOFT_PROMPTS)  # a small folder beside the base model is saved
QUANTIZABLE = ("lora", "oft")  # learn over a quantised base
NOT_CONTINUED = ("adalora", "ptuning")  # their folder lacks what going on would need


def is_adapter(method: object) -> bool:
    """Whether a method saves an adapter, and no whole model."""
    return method in ADAPTERS
