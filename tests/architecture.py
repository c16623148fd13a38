"""The tree in docs/architecture.md, written from the docstrings of the modules; a script's is the
comment that it begins with.

python -m tests.architecture write|check: `check` exits with 1 where the page is stale.
"""

import ast
import html
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: begin -->\n", "<!-- tree: end -->\n"
PACKAGES = ("app", "backend")
SCRIPTS = ROOT / "app" / "browser"


def purpose(module: Path) -> str:
    """The first sentence of a module's docstring, on one line; ValueError where it has none."""
    docstring = read_docstring(module)
    if not docstring:
        raise ValueError(f"{module}: a module needs a docstring that says what it is for")
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[^.])\. (?=[A-Z`])", paragraph)[0].removesuffix(".")


def read_docstring(module: Path) -> str | None:
    """The docstring of a Python module, or the first comment of a script."""
    text = module.read_text(encoding="utf-8")
    if module.suffix == ".py":
        return ast.get_docstring(ast.parse(text))
    comment = re.match(r"(?:// @ts-check\n)?/\*\*(.*?)\*/", text, re.DOTALL)
    return comment and comment[1].strip()


def folders() -> list[Path]:
    """The packages, the packages in them, and the folder of the scripts, in the order of paths."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")]
    return sorted([*(file.parent for file in files), SCRIPTS])


@cache
def tree() -> str:
    """A heading for each package, and under it a table of its modules."""
    parts = []
    for folder in folders():
        name = folder.relative_to(ROOT).as_posix()
        kind = "*.js" if folder == SCRIPTS else "*.py"
        modules = sorted(file for file in folder.glob(kind) if file.name != "__init__.py")
        rows = [f"| `{file.name}` | {_cell(purpose(file))} |" for file in modules]
        parts.append(f"### {name}/")
        about = folder / "__init__.py"
        if about.is_file() and about.read_bytes():  # that of backend stays empty (test_limits)
            parts.append(f"{_cell(purpose(about))}.")
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
