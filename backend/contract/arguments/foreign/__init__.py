"""Arguments of other programs that are no rows here: each does its work by another name, changes
nothing for a stated reason, or is refused with what to use instead."""

from backend.contract.arguments.foreign import llamafactory, trainer
from backend.contract.arguments.foreign.answer import Foreign

FOREIGN: dict[str, Foreign] = {each.name: each for each in (*trainer.NAMES, *llamafactory.NAMES)}

# Other spellings of the same argument -> the name of its row.
ALIASES: dict[str, str] = {
    "quantization_bits": "quantization_bit",
    "token": "hf_hub_token",
    **trainer.ALIASES,
    **llamafactory.ALIASES,
}

# Other spellings of a choice: (name of the row, spelling in small letters) -> the row's own.
CHOICES: dict[tuple[str, str], str] = {("quantization_method", "bitsandbytes"): "bnb"}
