"""The halves of a split: what one is learned with, and what is measured on."""

import json
from pathlib import Path

import pytest

from app.services.data.halves import find_test_half
from backend.cleaning.run import Job, clean, split
from backend.cleaning.steps import CleaningOptions
from backend.contract.folders.home import CLEANING_REPORT
from backend.contract.registry import registry
from tests.unit.cleaning import make_registry


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_registry(tmp_path, monkeypatch)


def test_the_test_half_is_found_from_the_other(data: Path) -> None:
    """And from no other set: not from itself, from what was split, or from a cleaned half."""
    split(Job("s"), ("learn", "test"), 0.3, 1)
    assert all((data / name / CLEANING_REPORT).is_file() for name in ("learn", "test"))
    split(Job("s"), ("more", "less"), 0.3, 2)
    clean(Job("learn"), "tidy", CleaningOptions(exact=True))
    assert find_test_half("learn", "data") == "test"
    assert find_test_half("more", "data") == "less"
    assert [find_test_half(name, "data") for name in ("test", "s", "tidy", "none")] == [""] * 4
    assert find_test_half("learn", "nowhere") == ""


def test_a_half_with_another_file_is_none(data: Path) -> None:
    """The entry may be edited, and the report be torn or another program's."""
    split(Job("s"), ("learn", "test"), 0.3, 1)
    report = data / "test" / CLEANING_REPORT
    whole = report.read_text()
    for text in ("{", "[]", json.dumps({"asked": "half"}), whole.replace('"date"', '"day"')):
        report.write_text(text)
        assert find_test_half("learn", "data") == ""
    report.write_text(whole)
    assert find_test_half("learn", "data") == "test"
    registry.register("test", {"file_name": "s.jsonl"}, "data", overwrite=True)
    assert find_test_half("learn", "data") == ""
