"""The README stays short, and the tree of modules in docs/architecture.md is the tree."""

import re
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_lists_no_files() -> None:
    assert len(README.splitlines()) < 150
    assert not re.findall(r"^\s*\S+\.py\s", README, re.M)


def test_the_readme_counts_architectures_as_the_table_does() -> None:
    counted = re.search(r"\d+ of \d+", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    assert counted is not None
    assert f"{counted[0]} [architectures]" in README


def test_the_tree_of_modules_is_fresh() -> None:
    """Stale? python -m tests.architecture write"""
    assert architecture.main(["check"]) == 0
    modules = [file for name in architecture.PACKAGES for file in (ROOT / name).rglob("*.py")]
    modules += [architecture.SCRIPTS, *architecture.SCRIPTS.glob("*.js")]
    rows = architecture.tree().count("\n| `")
    headings = architecture.tree().count("### ")
    assert rows + headings == len(modules) > 300


def test_a_stale_tree_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "architecture.md"
    text = architecture.PAGE.read_text(encoding="utf-8")
    copy.write_text(text.replace("`supervisor.py`", "`overseer.py`"), encoding="utf-8")
    monkeypatch.setattr(architecture, "PAGE", copy)
    assert architecture.main(["check"]) == 1
    assert "architecture write" in capsys.readouterr().err
    assert architecture.main(["write"]) == 0
    assert copy.read_text(encoding="utf-8") == text
    assert architecture.main([]) == 2


def test_a_module_says_what_it_is_for(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""Reads `.gz`, i.e. packed\nfiles. More follows.\n\nAnd more."""\n')
    assert architecture.purpose(module) == "Reads `.gz`, i.e. packed files"
    module.write_text("x = 1\n")
    with pytest.raises(ValueError, match="needs a docstring"):
        architecture.purpose(module)
