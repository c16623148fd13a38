"""Every row is read somewhere: an argument that nothing looks at would be a promise not kept."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from backend.contract.arguments.fields import FIELDS
from tests.contract.source import files, parsed

# Tables that name rows without doing what they say.
TABLES = ("fields/", "foreign/", "typed.py", "resume_kinds.py", "texts.py")


def words(file: Path) -> Iterator[str]:
    """Attributes and texts of a module; what a text leaves open is `*`."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (
                str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values
            )
            yield "".join(parts)


def is_read(name: str, known: set[str]) -> bool:
    """Whether a module has a name, a text like "*_target" that stands for it, or its two parts."""
    patterns = (text for text in known if "*" in text and len(text.strip("*")) > 5)
    return (
        name in known or is_joined(name, known) or any(fnmatchcase(name, each) for each in patterns)
    )


def is_joined(name: str, known: set[str]) -> bool:
    """Whether a module has both parts of a name, which f"{kind}_{setting}" would join."""
    halves = (name.split("_", at) for at in range(1, name.count("_") + 1))
    return any(
        {"_".join(parts[:-1]), parts[-1]} <= known or {parts[0], "_".join(parts[1:])} <= known
        for parts in halves
    )


def test_each_row_is_read() -> None:
    """By its name, by a name made of two texts of one module, or by what its `to` names."""
    modules = [
        set(words(file)) for file in files() if not any(table in str(file) for table in TABLES)
    ]
    assert len(modules) > 300
    unread = [
        name
        for name, row in FIELDS.items()
        if not row.to and not any(is_read(name, known) for known in modules)
    ]
    assert unread == []
