"""What is said before a launch, at the page's and the command's door."""

from pathlib import Path
from typing import Any

import pytest

from backend.contract.preflight.preflight import check_paths


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub id needs no folder."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


def codes(task: str, **values: Any) -> list[tuple[str, str]]:
    given = {"model_name_or_path": "org/model", **values}
    return [(one.code, one.field) for one in check_paths(given, task)]


@pytest.mark.parametrize("task", ["train", "eval", "chat", "api", "export"])
def test_an_unknown_template_is_named_with_a_near_one(model: Path, task: str) -> None:
    """It was once found by the worker, after torch had been loaded."""
    assert codes(task, template="chat-ml") == [("template_unknown_near", "template")]
    assert codes(task, template="q9x!") == [("template_unknown", "template")]
    assert codes(task, template="Qwen2.5") == []
    told = check_paths({"model_name_or_path": "org/model", "template": "chat-ml"}, task)
    assert "chatml" in told[0].text("en")


def test_where_nothing_can_be_exported_to(model: Path) -> None:
    """A run was once started only to say so."""
    (model / "full").mkdir()
    (model / "full" / "thesis.txt").write_text("mine")
    (model / "empty").mkdir()
    (model / "link").symlink_to(model / "empty")
    field = "export_dir"
    assert codes("export", export_dir="full") == [("export_dir_not_empty", field)]
    assert codes("export", export_dir="full/thesis.txt") == [("export_dir_is_file", field)]
    assert codes("export", export_dir="link") == [("export_dir_is_file", field)]
    assert codes("export", export_dir="empty") == codes("export", export_dir="new") == []
    assert codes("train", export_dir="full") == []


def test_pickle_files_are_not_exported(model: Path) -> None:
    expected = [("export_legacy_format", "export_legacy_format")]
    assert codes("export", export_dir="new", export_legacy_format=True) == expected
