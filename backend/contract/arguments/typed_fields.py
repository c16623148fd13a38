"""Write the source of typed.py from the table: each argument becomes a typed attribute."""

from collections.abc import Iterator

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS

FILE = "backend/contract/arguments/typed.py"
TYPES = {"bool": "bool", "int": "int", "float": "float"}  # all other kinds are text
FILLED = {"lora_alpha": 16}  # None stands for a number that `resolve` fills in
HEAD = '''"""All arguments of all subcommands, typed. Written by backend.contract.reference.

What an argument means, its limits, and where it applies stand in its field: see
contract/arguments/fields.
"""

from dataclasses import dataclass

from backend.contract.arguments.bag import Bag


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Arguments(Bag):
    """One checked value for each field; what a subcommand does not take is at its default."""
'''


def source() -> str:
    """The text of typed.py."""
    return HEAD + "\n".join(line for group in GROUPS for line in _group(group)) + "\n"


def _group(group: str) -> Iterator[str]:
    yield f"\n    # {group}"
    yield from (_attribute(field) for field in FIELDS.values() if field.group == group)


def _attribute(field: Field) -> str:
    kind = TYPES.get(field.kind, "str")
    if field.name in FILLED:
        return f"    {field.name}: {kind} = {FILLED[field.name]}"
    kind += " | None" if field.optional else ""
    default = repr(field.default).replace("'", '"')
    return f"    {field.name}: {kind} = {default}"
