"""docs/reference.md and --help are derived from the rows, whole and up to date."""

import shutil
import unicodedata
from pathlib import Path

import pytest

from backend.contract import reference
from backend.contract.arguments.arguments import fields_of
from backend.contract.arguments.fields import FIELDS, GROUPS
from backend.contract.arguments.foreign import ALIASES, FOREIGN
from backend.contract.texts.locales import languages, t
from tests.contract.strategies import TASKS

ROOT = Path(__file__).parents[2]


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(mark) in "WF" else 1 for mark in line)


def test_the_reference_in_the_tree_is_fresh() -> None:
    """Stale? python -m backend.contract.reference write"""
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.reference()
    assert reference.main(["check"]) == 0


def test_a_stale_reference_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "reference.md"
    shutil.copy(ROOT / "docs" / "reference.md", copy)
    monkeypatch.setattr(reference, "FILE", str(copy))
    assert reference.main(["check"]) == 0
    copy.write_text(copy.read_text(encoding="utf-8").replace("`lora_rank`", "`rank`"))
    assert reference.main(["check"]) == 1
    assert "reference write" in capsys.readouterr().err
    assert reference.main(["write"]) == 0
    assert reference.main(["check"]) == 0
    copy.unlink()
    assert reference.main(["check"]) == 1
    assert reference.main([]) == 2


def test_the_reference_names_every_argument_once() -> None:
    text = reference.reference()
    assert all(text.count(f"\n| `{name}` |") == 1 for name in [*FIELDS, *FOREIGN, *ALIASES])
    assert all(f"\n## {t(f'group.{group}')}\n" in text for group in GROUPS)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8, 3}


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("task", TASKS)
def test_help_has_each_argument_of_the_subcommand_and_no_other(task: str, lang: str) -> None:
    lines = reference.help_text(task, lang).splitlines()
    shown = [line.split()[0].removeprefix("--") for line in lines if line.startswith("  --")]
    assert "--help" not in shown
    assert sorted(shown) == sorted(row.name for row in fields_of(task))
    assert max(map(columns, lines)) <= 100


def test_help_shows_defaults_choices_and_conditions() -> None:
    text = " ".join(reference.help_text("train").split())
    assert "--lora_rank INT" in text
    assert "default: 8; values: 1 – 1024; needs finetuning_type=lora" in text
    assert "default: cosine; values: linear, cosine," in text
    assert "HF_TOKEN" in text
