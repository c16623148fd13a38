"""Arguments of other programs that have no field here.

Each is translated, changes nothing for a stated reason, or is refused with what to use instead.
"""

from backend.contract.arguments.foreign.spellings import ALIASES, CHOICES, FOREIGN

__all__ = ["ALIASES", "CHOICES", "FOREIGN"]
