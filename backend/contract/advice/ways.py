"""Which way to train: four questions whose answers choose one of the seven recipes of fine-tuning.

Plain texts are read first (continued pretraining) where they are many, or where the field is far
from what the model knows. General rows come in where general ability must stay.
"""

from itertools import product

# Each question with its answers, in the order of `choose_way`.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "field": ("near", "far"),
    "texts": ("none", "some", "many"),
    "start": ("chat", "base"),
    "general": ("free", "stays"),
}


def choose_way(field: str, texts: str, start: str, general: str) -> str:
    """The name of the recipe for these answers."""
    reads_texts = texts == "many" or (texts == "some" and field == "far")
    stays = general == "stays"
    if start == "chat" and not reads_texts:
        return "chat_domain_sft"  # its adapter leaves the model as it is
    if start == "chat" and not stays:
        return "chat_pretrain_domain_sft"
    if not reads_texts:
        return "base_domain_general_mixed_sft" if stays else "base_domain_sft"
    if not stays:
        return "base_pretrain_domain_sft"
    if start == "base" and texts == "many":
        return "base_pretrain_domain_general_sft"
    return "base_pretrain_with_instructions_sft"


def list_ways() -> dict[str, str]:
    """The recipe of every combination of answers, which stand in one text, with spaces between."""
    return {" ".join(answers): choose_way(*answers) for answers in product(*QUESTIONS.values())}
