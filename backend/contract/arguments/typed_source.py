"""Write the typed arguments from the table: their names, their values, and changes to them."""

from collections.abc import Callable, Iterator

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS, GROUPS

FOLDER = "backend/contract/arguments"
KINDS = {"bool": "bool", "int": "int", "float": "float"}  # all other kinds are text
FILLED = {"lora_alpha": 16}  # None stands for a number that `resolve` fills in

NAMES_HEAD = '''"""The name of each argument as a type. Written by backend.contract.reference."""

from typing import Literal

ArgumentName = Literal[
'''
CHANGES_HEAD = '''"""Changes to arguments. Written by backend.contract.reference."""

from typing import TypedDict


class Changes(TypedDict, total=False):
    """Values for some of the arguments; the name and the type of each are checked."""
'''
TYPED_HEAD = '''"""All arguments of all subcommands, typed. Written by backend.contract.reference.

What an argument means, its limits, and where it applies stand in its field: see
contract/arguments/fields.
"""

from dataclasses import dataclass

from backend.contract.arguments.bag import Bag


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Arguments(Bag):
    """One checked value for each field; what a subcommand does not take is at its default."""
'''


def typed_sources() -> dict[str, str]:
    """The text of each generated module, by its file."""
    return {
        f"{FOLDER}/argument_names.py": NAMES_HEAD + _names() + "]\n",
        f"{FOLDER}/changes.py": CHANGES_HEAD + _by_group(_change),
        f"{FOLDER}/typed.py": TYPED_HEAD + _by_group(_attribute),
    }


def _by_group(write: Callable[[Field], str]) -> str:
    """A line for each field, below a comment for each group."""
    lines = [line for group in GROUPS for line in _group(group, write)]
    return "\n".join(lines) + "\n"


def _names() -> str:
    """The names, without the blank lines that a formatter takes out of a list."""
    return _by_group(_name).replace("\n\n", "\n").removeprefix("\n")


def _group(group: str, write: Callable[[Field], str]) -> Iterator[str]:
    yield f"\n    # {group}"
    yield from (write(field) for field in FIELDS.values() if field.group == group)


def _name(field: Field) -> str:
    return f'    "{field.name}",'


def _change(field: Field) -> str:
    return f"    {field.name}: {_kind(field)}"


def _attribute(field: Field) -> str:
    default = repr(FILLED.get(field.name, field.default)).replace("'", '"')
    return f"    {field.name}: {_kind(field)} = {default}"


def _kind(field: Field) -> str:
    """The type of a field's checked value."""
    optional = field.optional and field.name not in FILLED
    return KINDS.get(field.kind, "str") + (" | None" if optional else "")
