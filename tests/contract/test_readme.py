"""The tree in the README is the tree."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def named(text: str) -> list[str]:
    """Paths in the README's annotated tree (the block that begins with `app/`)."""
    block = re.search(r"```text\n(app/.*?)```", text, re.S)
    assert block is not None
    paths, folder = [], ""
    for line in block[1].splitlines():
        name = line.split()[0] if line.split() else ""
        if not name:
            continue
        if line.startswith(" "):
            paths.append(folder + name)
        else:
            folder = name if name.endswith("/") else ""
            paths.append(name)
    return paths


def test_each_file_of_the_tree_exists() -> None:
    paths = named((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(paths) > 40
    assert len(paths) == len(set(paths))
    assert [path for path in paths if path != "saves/" and not (ROOT / path).exists()] == []


def test_each_module_is_in_the_tree() -> None:
    paths = set(named((ROOT / "README.md").read_text(encoding="utf-8")))
    missing = []
    for file in sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "backend").rglob("*.py")]):
        path = str(file.relative_to(ROOT))
        if file.name != "__init__.py" and path not in paths:
            missing.append(path)
    assert missing == []
