"""Rows of a small set changed by hand: a new version, the old file untouched, nothing half done."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.services.data import drafts
from app.tabs.data import data_rows
from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import TuneboardError

DAY = datetime.date(2026, 11, 23)
ROWS: list[dict[str, Any]] = [
    {"instruction": "q1", "output": "a1", "score": 1.50, "tags": ["x", None]},
    {"instruction": "q2", "output": "a2", "score": None, "tags": []},
    {"instruction": "q3", "output": "a3 \u2028 é", "score": 12345678901234567890},
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.json").write_text(json.dumps(ROWS))
    registry.register("own", {"file_name": "own.json", "mine": 1}, "data")
    return tmp_path


def now(name: str = "own") -> list[dict[str, Any]]:
    path = dataset_info.find(name, "data").path
    assert path is not None
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def code(raised: pytest.ExceptionInfo[TuneboardError]) -> str:
    return raised.value.problems[0].code


def test_a_new_version_has_the_changes_and_nothing_else(home: Path) -> None:
    before = (home / "data" / "own.json").read_bytes()
    draft = drafts.open_draft("own", "data")
    drafts.change(draft, 0, {"output": "better", "score": "1.5", "tags": '["x", null]'})
    drafts.delete(draft, 1)
    number = drafts.add(draft, {"instruction": "q4", "output": "a4", "score": "7", "tags": ""})
    assert (number, draft.changed, draft.deleted, draft.added) == (3, {0}, {1}, 1)
    assert drafts.save(draft) == "own"
    assert now() == [
        {**ROWS[0], "output": "better"},
        ROWS[2],
        {"instruction": "q4", "output": "a4", "score": 7},
    ]
    assert (home / "data" / "own.json").read_bytes() == before
    written = json.loads((home / "data" / "dataset_info.json").read_text())["own"]
    assert written["mine"] == 1


def test_under_a_new_name_the_old_set_stays(home: Path) -> None:
    draft = drafts.open_draft("own", "data")
    drafts.delete(draft, 0)
    assert drafts.save(draft, " second ") == "second"
    assert now("second") == ROWS[1:]
    assert dataset_info.find("own", "data").path == home / "data" / "own.json"


def test_values_keep_their_types() -> None:
    draft = drafts.open_draft("own", "data")
    assert drafts.texts(ROWS[0], draft.columns) == ["q1", "a1", "1.5", '["x", null]']
    for row, number in zip(ROWS, range(3), strict=True):
        given = dict(zip(draft.columns, drafts.texts(row, draft.columns), strict=True))
        drafts.change(draft, number, given)
    assert not draft.touched
    assert draft.rows == ROWS


@pytest.mark.parametrize(
    ("given", "wrong"),
    [({"score": "1,5"}, "edit_json"), ({"output": ""}, "row_empty_answer")],
)
def test_a_bad_value_is_named_and_not_kept(given: dict[str, str], wrong: str) -> None:
    draft = drafts.open_draft("own", "data")
    with pytest.raises(TuneboardError) as raised:
        drafts.change(draft, 0, given)
    assert code(raised) == wrong
    assert draft.rows == ROWS
    assert not draft.touched


def test_what_changed_meanwhile_is_not_lost(home: Path) -> None:
    draft = drafts.open_draft("own", "data")
    drafts.delete(draft, 0)
    (home / "data" / "own.json").write_text(json.dumps(ROWS[:2]))
    before = sorted(home.rglob("*"))
    with pytest.raises(TuneboardError) as raised:
        drafts.save(draft)
    assert code(raised) == "edit_changed_meanwhile"
    assert sorted(home.rglob("*")) == before


def test_a_refusal_leaves_nothing(home: Path) -> None:
    registry.register("other", {"file_name": "own.json"}, "data")
    before = sorted(home.rglob("*"))
    for into in ("other", "../x", "OWN"):
        draft = drafts.open_draft("own", "data")
        drafts.delete(draft, 0)
        with pytest.raises(TuneboardError):
            drafts.save(draft, into)
    draft = drafts.open_draft("own", "data")
    for number in range(3):
        drafts.delete(draft, number)
    with pytest.raises(TuneboardError) as raised:
        drafts.save(draft)
    assert code(raised) == "edit_nothing_left"
    assert sorted(home.rglob("*")) == before


def test_large_sets_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_ROWS", 2)
    with pytest.raises(TuneboardError) as raised:
        drafts.open_draft("own", "data")
    assert code(raised) == "edit_too_large"


def shown(draft: drafts.Draft, number: int) -> list[str]:
    """What the boxes hold when a row is shown."""
    return drafts.texts(draft.rows[number], draft.columns)


def test_buttons_move_and_undo() -> None:
    """What was typed into a row stays when another is gone to."""
    draft = drafts.open_draft("own", "data")
    for name, at, row, expected in (
        ("next", 2, "", 2),
        ("previous", 0, "", 0),
        ("jump", 0, "3", 2),
        ("jump", 1, "x", 1),
        ("jump", 0, "99", 2),
        ("delete", 1, "", 1),
    ):
        typed = drafts.texts(draft.rows[at], draft.columns)
        _, place = data_rows._edit(name, (draft, at), row, typed)
        assert place == expected
    assert not draft.changed
    assert draft.deleted == {1}
    for number, name in enumerate(("next", "previous", "jump")):
        typed = [f"typed {number}", *shown(draft, number)[1:]]
        data_rows._edit(name, (draft, number), "1", typed)
        assert draft.rows[number]["instruction"] == f"typed {number}"
    assert draft.changed == {0, 1, 2}
    with pytest.raises(TuneboardError):
        data_rows._edit("next", (draft, 0), "1", ["q", "", *shown(draft, 0)[2:]])
    fresh, _ = data_rows._edit("undo", (draft, 1), "", ["", "", "", ""])
    assert not fresh.touched


def test_one_and_true_are_not_the_same() -> None:
    draft = drafts.open_draft("own", "data")
    drafts.change(draft, 0, {"score": "1"})
    drafts.change(draft, 0, {"score": "true"})
    assert draft.rows[0]["score"] is True
    with pytest.raises(TuneboardError):
        drafts.change(draft, 0, {"score": "NaN"})


def test_without_its_first_row_a_set_is_read_as_before(home: Path) -> None:
    rows = [ROWS[0], {"text": "no answer in here"}]
    (home / "data" / "own.json").write_text(json.dumps(rows))
    draft = drafts.open_draft("own", "data")
    drafts.delete(draft, 0)
    with pytest.raises(TuneboardError):
        drafts.save(draft)


def test_line_ends_of_a_browser_are_no_change(home: Path) -> None:
    (home / "data" / "own.json").write_text(json.dumps([{**ROWS[0], "output": "a\r\nb"}]))
    draft = drafts.open_draft("own", "data")
    drafts.change(draft, 0, {"output": "a\nb"})
    assert not draft.touched


def test_an_entry_that_changed_meanwhile_is_not_overwritten() -> None:
    draft = drafts.open_draft("own", "data")
    drafts.delete(draft, 0)
    registry.register("own", {"file_name": "own.json", "num_samples": 2}, "data", overwrite=True)
    with pytest.raises(TuneboardError) as raised:
        drafts.save(draft)
    assert code(raised) == "edit_changed_meanwhile"
    assert drafts.save(draft, "mine") == "mine"


def test_dates_of_a_table_become_texts(home: Path) -> None:
    table = pa.table({"instruction": ["q", "r"], "output": ["a", "b"], "day": [DAY, DAY]})
    pq.write_table(table, home / "data" / "days.parquet")
    registry.register("days", {"file_name": "days.parquet"}, "data")
    draft = drafts.open_draft("days", "data")
    drafts.delete(draft, 0)
    drafts.save(draft)
    assert now("days") == [{"instruction": "r", "output": "b", "day": "2026-11-23"}]
