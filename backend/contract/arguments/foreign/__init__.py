"""Arguments of other programs that have no field here.

Each is translated, changes nothing for a stated reason, or is refused with what to use instead.
"""

from backend.contract.arguments.foreign import llamafactory, trainer
from backend.contract.arguments.foreign.answer import Foreign

FOREIGN: dict[str, Foreign] = {each.name: each for each in (*trainer.NAMES, *llamafactory.NAMES)}

# Other spellings of an argument -> the name of its field.
ALIASES: dict[str, str] = {
    "quantization_bits": "quantization_bit",
    "token": "hf_hub_token",
    **trainer.ALIASES,
    **llamafactory.ALIASES,
}

# Other spellings of a choice: (name of the field, spelling in small letters) -> our spelling.
CHOICES: dict[tuple[str, str], str] = {("quantization_method", "bitsandbytes"): "bnb"}
