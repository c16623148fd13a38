"""What the form of a coming data set means, and the registered sets as a table."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.services.data import datasets, mapping, set_list
from backend.contract.registry import registry
from backend.contract.texts.locales import t


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text("{}")
    return tmp_path


def coming(home: Path, rows: list[dict[str, Any]]) -> datasets.Candidate:
    file = home / "came.json"
    file.write_text(json.dumps(rows))
    return datasets.accept_file(file, None)


def test_the_proposal_stands_until_something_differs(home: Path) -> None:
    proposal = coming(home, [{"q": "one?", "a": "1", "note": "x"}])
    columns = {"prompt": "q", "response": "a"}
    assert mapping.entry(proposal.proposal, "alpaca", False, columns) == proposal.proposal.entry
    other = mapping.entry(proposal.proposal, "alpaca", False, {**columns, "system": "note"})
    assert other["columns"] == {**columns, "system": "note"}
    wrong = mapping.entry(proposal.proposal, "alpaca", False, {"response": "a"})
    assert not mapping.is_usable(mapping.example(proposal, wrong))


def test_ranking_asks_for_two_answers() -> None:
    assert "response" not in mapping.roles("alpaca", True)
    assert {"chosen", "rejected"} <= set(mapping.roles("alpaca", True))
    assert mapping.roles("openai", False)[0] == "messages"


def test_a_free_name_is_made_from_any_file_name(home: Path) -> None:
    assert registry.free_name("My questions.v2.csv", "data") == "My-questions"
    registry.register("mine", {"file_name": "x.json"}, "data")
    assert registry.free_name("MINE.json", "data") == "MINE-2"
    for name in ("../../etc/passwd", "<svg onload=x>.json", "\u202e.json", ".json", "org/set"):
        free = registry.free_name(name, "data")
        assert not mapping.name_problem(free, "data", "en"), (name, free)
    assert mapping.name_problem("Mine", "data", "en")


def test_a_stage_that_can_learn_from_it_stays() -> None:
    assert mapping.stage_for("preference", "rm") == "rm"
    assert mapping.stage_for("preference", "sft") == "dpo"
    assert mapping.stage_for("text", "sft") == "pt"
    assert mapping.stage_for("", "kto") == "kto"


def test_the_table_says_what_is_wrong(home: Path) -> None:
    (home / "data" / "good.json").write_text('[{"instruction": "q", "output": "a"}]')
    registry.register("good", {"file_name": "good.json"}, "data")
    registry.register("gone", {"file_name": "gone.json"}, "data")
    registry.register("hub", {"hf_hub_url": "some/set"}, "data")
    gone, good, hub = set_list.sets("data", "en")
    assert (good.kind, good.size, good.place, good.tone) == (
        "sft",
        "37 B",
        "data/good.json",
        "good",
    )
    assert (good.bytes, gone.bytes, hub.bytes) == (37, None, None)
    assert gone.tone == "bad"
    assert "gone.json" in gone.note
    assert (hub.size, hub.place, hub.note) == ("–", "some/set", t("sets.on_hub", "en"))
    assert [set_list.count_rows(name, "data", "en") for name in ("good", "gone", "hub")] == [
        "1",
        "–",
        "–",
    ]
    (home / "data" / "good.json").write_text(
        '[{"instruction": "q", "output": "a"}, {"output": ""}]'
    )
    assert set_list.count_rows("good", "data", "en") == "2"
    assert [set_list.find_count(name, "data") for name in ("good", "gone")] == [2, None]
    assert set_list.kind("good", "data") == "sft"
    assert set_list.registry_problem("nowhere", "en")
