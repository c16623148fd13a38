"""Properties of the methods (`finetuning_type`), such as which save an adapter."""

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
QUANTIZABLE = ("lora", "oft")  # learn over a quantised base
NOT_CONTINUED = ("adalora", "ptuning")  # their folder does not hold enough to train on


def is_adapter(method: object) -> bool:
    """Whether a method saves an adapter instead of a whole model."""
    return method in ADAPTERS
