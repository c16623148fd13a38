"""The tree in docs/architecture.md, written from the docstrings of the modules.

python -m tests.architecture write|check: `check` exits with 1 where the page is stale.
"""

import ast
import html
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: begin -->\n", "<!-- tree: end -->\n"
PACKAGES = ("app", "backend")


def purpose(module: Path) -> str:
    """The first sentence of a module's docstring, on one line; ValueError where it has none."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{module}: a module needs a docstring that says what it is for")
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[^.])\. (?=[A-Z`])", paragraph)[0].removesuffix(".")


def folders() -> Iterator[Path]:
    """The packages and the packages in them, in the order of their paths."""
    for package in PACKAGES:
        yield from sorted(file.parent for file in (ROOT / package).rglob("__init__.py"))


@cache
def tree() -> str:
    """A heading for each package, and under it a table of its modules."""
    parts = []
    for folder in folders():
        name = folder.relative_to(ROOT).as_posix()
        modules = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
        rows = [f"| `{file.name}` | {_cell(purpose(file))} |" for file in modules]
        parts.append(f"### {name}/")
        if (folder / "__init__.py").read_bytes():  # that of backend stays empty (test_limits)
            parts.append(f"{_cell(purpose(folder / '__init__.py'))}.")
        if rows:
            parts.append("\n".join(["| module | what it is for |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def page(text: str) -> str:
    """The page with a fresh tree between its two marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tree()}\n{END}{rest.split(END)[1]}"


def _cell(text: str) -> str:
    """A text as a cell of a Markdown table: marks that are code stay, others are text."""
    pieces = re.split(r"(`[^`]*`)", text.replace("|", r"\|"))
    return "".join(
        piece if piece.startswith("`") else html.escape(piece, quote=False) for piece in pieces
    )


def main(argv: Sequence[str]) -> int:
    """Write the tree into the page, or check that it is fresh."""
    if list(argv) not in (["write"], ["check"]):
        sys.stderr.write("python -m tests.architecture write|check\n")
        return 2
    text = PAGE.read_text(encoding="utf-8")
    fresh = page(text)
    if list(argv) == ["write"]:
        PAGE.write_text(fresh, encoding="utf-8")
    elif text != fresh:
        sys.stderr.write(f"{PAGE} is out of date. Run: python -m tests.architecture write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
