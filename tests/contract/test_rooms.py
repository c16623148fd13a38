"""The rooms of the source: what a package itself may hold."""

import ast
from collections.abc import Iterator

import pytest

from tests.contract.source import trees


def statements(tree: ast.Module) -> Iterator[str]:
    """What a module holds beside its docstring, imports and `__all__`."""
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if at == 0 and ast.get_docstring(tree):
            continue
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            continue
        yield ast.unparse(node)


def test_a_package_says_what_it_is_for_and_holds_no_logic() -> None:
    """All readers of data files once stood in an `__init__`, where nobody looks for them."""
    packages = {file: tree for file, tree in trees().items() if file.endswith("__init__.py")}
    assert len(packages) > 30
    assert {file for file, tree in packages.items() if not ast.get_docstring(tree)} == set()
    assert {file: [*held] for file, tree in packages.items() if (held := [*statements(tree)])} == {}


@pytest.mark.parametrize("line", ["LIMIT = 3", "def work(): pass", "if a:\n    import b", "'x'"])
def test_a_line_of_logic_is_seen(line: str) -> None:
    held = f'"""What it is for."""\n\nfrom a import b\n\n__all__ = ["b"]\n{line}'
    assert len([*statements(ast.parse(held))]) == 1
