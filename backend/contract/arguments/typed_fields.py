"""The source of typed.py, written from the rows: each argument as an attribute that mypy knows."""

from collections.abc import Iterator

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS

FILE = "backend/contract/arguments/typed.py"
TYPES = {"bool": "bool", "int": "int", "float": "float"}  # all other kinds are text
FILLED = {"lora_alpha": 16}  # None stands for a number that `resolved` fills in
HEAD = '''"""All arguments of all subcommands, typed. Written by backend.contract.reference.

What an argument means, its limits, and where it applies stand in its row: see
contract/arguments/fields.
"""

from dataclasses import dataclass

from backend.contract.arguments.bag import Bag


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Arguments(Bag):
    """One checked value for each row; what a subcommand does not take is at its default."""
'''


def source() -> str:
    """The text of typed.py."""
    return HEAD + "\n".join(line for group in GROUPS for line in _group(group)) + "\n"


def _group(group: str) -> Iterator[str]:
    yield f"\n    # {group}"
    yield from (_attribute(row) for row in FIELDS.values() if row.group == group)


def _attribute(row: Field) -> str:
    kind = TYPES.get(row.kind, "str")
    if row.name in FILLED:
        return f"    {row.name}: {kind} = {FILLED[row.name]}"
    kind += " | None" if row.optional else ""
    default = repr(row.default).replace("'", '"')
    return f"    {row.name}: {kind} = {default}"
