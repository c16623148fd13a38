"""Judged answers of a chat as rows of a set: kept once, in order, never over somebody's data."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.services.chat import feedback
from app.tabs.chat import chat_feedback
from app.tabs.chat.chat_feedback import Setting
from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import TuneboardError

ASKED = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "q"}]
ANSWER = {"role": "assistant", "content": "<think>x</think>a"}
HISTORY = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    return tmp_path


def rows(home: Path, name: str = "mine") -> list[dict[str, Any]]:
    lines = (home / "data" / name / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def code(raised: pytest.ExceptionInfo[TuneboardError]) -> str:
    return raised.value.problems[0].code


def test_a_judgement_is_kept_and_changed(home: Path) -> None:
    first = feedback.save("mine", "kto", feedback.kto_row([*ASKED, ANSWER], [], True))
    other = feedback.save(
        "mine", "kto", feedback.kto_row([*ASKED, {**ANSWER, "content": "b"}], [], True)
    )
    again = feedback.save("mine", "kto", feedback.kto_row([*ASKED, ANSWER], [], False))
    assert [(one.number, one.replaced) for one in (first, other, again)] == [
        (1, False),
        (2, False),
        (1, True),
    ]
    assert [row["label"] for row in rows(home)] == [False, True]
    assert rows(home)[0]["messages"] == [*ASKED, ANSWER]
    entry = dataset_info.find("mine", "data")
    assert entry.path == home / "data" / "mine" / "mine.jsonl"


def test_the_better_of_two_is_one_row_whichever_it_is(home: Path) -> None:
    worse = {"role": "assistant", "content": "b"}
    feedback.save("mine", "preference", feedback.preference_row(ASKED, [], ANSWER, worse))
    kept = feedback.save("mine", "preference", feedback.preference_row(ASKED, [], worse, ANSWER))
    assert kept.replaced
    assert [(row["chosen"], row["rejected"]) for row in rows(home)] == [(worse, ANSWER)]
    assert dataset_info.find("mine", "data").ranking


def test_what_belongs_to_others_is_left_alone(home: Path) -> None:
    (home / "data" / "own.json").write_text("[]")
    registry.register("own", {"file_name": "own.json"}, "data")
    (home / "data" / "loose").mkdir()
    (home / "data" / "loose" / "loose.jsonl").write_text("{}\n")
    feedback.save("mine", "sft", feedback.sft_row([*ASKED, ANSWER], []))
    before = sorted(home.rglob("*"))
    row = feedback.kto_row([*ASKED, ANSWER], [], True)
    for name in ("own", "loose", "mine"):
        with pytest.raises(TuneboardError) as raised:
            feedback.save(name, "kto", row)
        assert code(raised) == "feedback_other_set"
    for name in ("", "../x", "a/b", "Mine", "x\u202ey", "."):
        with pytest.raises(TuneboardError):
            feedback.save(name, "kto", row)
    assert sorted(home.rglob("*")) == before


def test_many_at_once_lose_nothing(home: Path) -> None:
    def keep(number: int) -> int:
        row = feedback.sft_row([*ASKED, {"role": "assistant", "content": str(number)}], [])
        return feedback.save("mine", "sft", row).number

    keep(0)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(keep, range(1, 40)))
    assert sorted(numbers) == list(range(2, 41))
    assert sorted(int(row["messages"][-1]["content"]) for row in rows(home)) == list(range(40))


def held(**given: str) -> Setting:
    start = {"lang": "en", "name": "mine", "kind": "kto", "system": "Be brief", "tools": ""}
    return Setting(**{**start, **given})


def test_a_thumb_takes_the_conversation_up_to_its_answer(home: Path) -> None:
    history = [*HISTORY, {"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}]
    event: Any = SimpleNamespace(index=1, liked=True)
    chat_feedback._rate_answer(held(), history, event)
    assert rows(home)[0]["messages"] == [*ASKED, HISTORY[1]]
    with pytest.raises(TuneboardError) as raised:
        chat_feedback._rate_answer(
            held(kind="sft", name="good"), history, SimpleNamespace(index=1, liked=False)
        )
    assert code(raised) == "feedback_not_liked"


def test_a_choice_needs_two_answers_to_the_same_question(home: Path) -> None:
    other = [HISTORY[0], {"role": "assistant", "content": "b"}]
    chat_feedback._save_preference(held(), HISTORY, other)
    assert rows(home)[0]["chosen"] == HISTORY[1]
    longer = [*other, HISTORY[0], {"role": "assistant", "content": "c"}]
    for better, worse, wrong in (
        (HISTORY, [], "feedback_no_answers"),
        ([*HISTORY, *HISTORY], longer, "feedback_apart"),
        (HISTORY, HISTORY, "feedback_same"),
    ):
        with pytest.raises(TuneboardError) as raised:
            chat_feedback._save_preference(held(), better, worse)
        assert code(raised) == wrong


def test_a_thumb_taken_back_takes_its_row_out(home: Path) -> None:
    events: list[Any] = [SimpleNamespace(index=1, liked=liked) for liked in (True, "", "")]
    said = [chat_feedback._rate_answer(held(), HISTORY, event) for event in events]
    assert said == [
        "Saved as row 1 of mine.",
        "Removed from mine.",
        "This answer was not saved.",
    ]
    assert rows(home) == []


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (" ", "feedback_no_answer"),
        ("half \ud800", "feedback_unfit"),
    ],
)
def test_what_is_no_answer_is_not_kept(home: Path, answer: str, wrong: str) -> None:
    history = [HISTORY[0], {"role": "assistant", "content": answer}]
    event: Any = SimpleNamespace(index=1, liked=True)
    with pytest.raises(TuneboardError) as raised:
        chat_feedback._rate_answer(held(), history, event)
    assert code(raised) == wrong
    assert list((home / "data").rglob("*.jsonl")) == []


def test_links_are_not_followed(home: Path) -> None:
    (home / "elsewhere").mkdir()
    (home / "data" / "mine").symlink_to(home / "elsewhere")
    with pytest.raises(TuneboardError) as raised:
        feedback.save("mine", "sft", feedback.sft_row([*ASKED, ANSWER], []))
    assert code(raised) == "feedback_other_set"
    assert list((home / "elsewhere").iterdir()) == []
