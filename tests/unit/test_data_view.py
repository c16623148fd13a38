"""Rows of a data set as the page draws them, and the child that makes the tokens."""

import json
import os
import re
import signal
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.services.data import inspection, length_chart, row_tree, rows_view
from app.services.data.rows_view import Query
from backend.contract.texts.problems import ModelError, TuneboardError
from tests.architecture import SCRIPTS
from tests.unit.stand_in import stand_in_for_children

TREE = SCRIPTS / "tree.js"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> ${alert(3)} {{value}}"
ROWS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": HOSTILE},
            {"role": "assistant", "content": f"<think>{HOSTILE}</think>{HOSTILE}"},
        ]
    },
    {"messages": [{"role": "user", "content": "q"}, {"role": "user", "content": "again"}]},
    {
        "messages": [
            {"role": "user", "content": "weather"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "look<b>"}}]},
            {"role": "tool", "content": HOSTILE},
            {"role": "assistant", "content": "cold"},
        ]
    },
    *(
        {
            "messages": [
                {"role": "user", "content": f"q{i}"},
                {"role": "assistant", "content": f"answer {i}"},
            ]
        }
        for i in range(3, 12)
    ),
]


@pytest.fixture
def values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A form's values for a set of twelve rows."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "odd.json").write_text(json.dumps(ROWS))
    entry = {"odd": {"file_name": "odd.json", "formatting": "openai"}}
    entry["odd"]["columns"] = {"messages": "messages"}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry))
    return {"dataset": "odd", "dataset_dir": str(tmp_path), "stage": "sft"}


def elements(nodes: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """All elements of trees."""
    for node in nodes:
        if isinstance(node, dict):
            yield node
            yield from elements(node["inside"])


def text_of(nodes: Sequence[Any]) -> str:
    """The text of trees, as it is read."""
    return "".join(node if isinstance(node, str) else text_of(node["inside"]) for node in nodes)


def harmless(nodes: Sequence[Any]) -> bool:
    """Whether nothing of the data became an element or an attribute, and its text is there."""
    ours = set(re.findall(r'"(\w+)"', TREE.read_text().split("TAGS = ")[1].split(";")[0]))
    assert len(ours) > 7
    every = list(elements(nodes))
    kinds = "".join(each["kind"] for each in every)
    marks = {name for each in every for name in each["marks"]}
    tags = {each["kind"].partition(".")[0] for each in every}
    is_text = HOSTILE in text_of(nodes)
    return is_text and tags <= ours and marks <= {"title", "open"} and "alert" not in kinds


@pytest.mark.parametrize("view", ["raw", "conversation"])
def test_nothing_in_the_data_becomes_markup(values: dict[str, Any], view: str) -> None:
    """X-01: scripts, event handlers and template marks are shown as text."""
    found = rows_view.look(values, Query(view), "en")
    assert harmless(found.rows)
    if view == "conversation":
        names = [each["inside"] for each in elements(found.rows) if each["kind"] == "b"]
        assert names == [["look<b>"]], "the tool call is shown"


def test_tokens_are_escaped_and_marked(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [["<|im_start|>", [1], False], [HOSTILE, [7, 8], True], ["a\n", [9], True]]
    line = {"row": 0, "pieces": pieces, "cut": True}
    refused = {
        "row": 1,
        "refused": {"code": "row_roles", "params": {"file": "x", "line": 2, "count": 1}},
    }
    notice = {"code": "template_on_base", "params": {"name": "<b>"}}
    answer = {"lines": [line, refused], "special": [1], "total": 12, "notices": [notice]}
    monkeypatch.setattr(inspection, "tokens", lambda *_: answer)
    found = rows_view.look({**values, "model_name_or_path": "m"}, Query("tokens"), "en")
    assert harmless(found.rows)
    kinds = [(each["kind"], each["marks"].get("title")) for each in elements(found.rows)]
    assert ("span.tk.sp", "1 · not learned") in kinds
    assert ("span.tk.on", "7, 8 · learned") in kinds
    assert "a↵\n" in text_of(found.rows)
    assert "4 tokens, 3 of them learned" in text_of(found.rows)
    assert "roles are out of order" in text_of(found.rows)


def test_the_rows_of_a_table_are_shown_by_their_columns(tmp_path: Path) -> None:
    """The rows of a CSV file were shown as JSON, which no such file holds."""
    (tmp_path / "q.csv").write_text(f'question,answer\n"How, say?","{HOSTILE}\nline 2"\nWhy?,\n')
    (tmp_path / "dataset_info.json").write_text(json.dumps({"q": {"file_name": "q.csv"}}))
    values = {"dataset": "q", "dataset_dir": str(tmp_path), "stage": "sft"}
    shown = rows_view.look(values, Query("raw"), "en")
    assert not shown.wrong
    assert harmless(shown.rows)
    cells = [text_of(each["inside"]) for each in elements(shown.rows) if each["kind"][:2] == "dd"]
    names = [text_of(each["inside"]) for each in elements(shown.rows) if each["kind"] == "dt"]
    assert cells == ["How, say?", f"{HOSTILE}\nline 2", "Why?", "∅"]
    assert names == ["question", "answer"] * 2


def test_pages_and_the_end(values: dict[str, Any]) -> None:
    first = rows_view.look(values, Query("raw"), "en")
    assert ("1 to 5 of 12" in first.where, first.onward) == (True, 5)
    last = rows_view.look(values, Query("raw", 10), "en")
    assert ("11 to 12 of 12" in last.where, last.onward) == (True, 10)
    assert "no row 100" in rows_view.look(values, Query("raw", 99), "en").where


def test_search_goes_on(values: dict[str, Any]) -> None:
    first = rows_view.look(values, Query("conversation", 0, "ANSWER"), "en")
    assert len(first.rows) == 5
    second = rows_view.look(values, Query("conversation", first.onward, "ANSWER"), "en")
    assert "answer 11" in text_of(second.rows)
    assert "answer 3" not in text_of(second.rows)
    assert not rows_view.look(values, Query("raw", 0, "nowhere"), "en").rows


def test_a_refused_row_stays_with_its_reason(values: dict[str, Any]) -> None:
    found = rows_view.look({**values, "strict_turns": True}, Query("conversation"), "en")
    assert sum(each["kind"] == "div.seen-row" for each in found.rows) == 5
    assert "roles are out of order" in text_of(found.rows)
    lenient = rows_view.look(values, Query("conversation"), "en")
    assert "do not end with an answer" in text_of(lenient.rows)


def test_what_was_mended_in_a_row_is_told(values: dict[str, Any], tmp_path: Path) -> None:
    row = {"messages": [*ROWS[1]["messages"], {"role": "assistant", "content": "both"}]}
    (tmp_path / "odd.json").write_text(json.dumps([row]))
    found = rows_view.look(values, Query("conversation"), "en")
    assert "turns of one role follow each other" in text_of(found.rows)
    assert "q\n\nagain" in text_of(found.rows)


def test_what_is_missing_is_said(values: dict[str, Any]) -> None:
    no_model = rows_view.look(values, Query("tokens"), "en")
    assert ("Choose a model" in no_model.where, no_model.wrong) == (True, True)
    no_set = rows_view.look({}, Query("raw"), "en")
    assert ("Choose a data set" in no_set.where, no_set.wrong) == (True, False)


def test_hidden_characters_are_named() -> None:
    assert row_tree.show_hidden("a\u202eb\u200b\ud800") == "a\u27e8U+202E\u27e9b\u27e8U+200B\u27e9?"


def test_the_chart_has_the_cutoff_line() -> None:
    summary = dict.fromkeys(("mean", "min", "p50", "p90", "p95", "p99", "max"), 5)
    counts = {"edges": [0, 10, 20], "prompt": [3, 0], "answer": [2, 1], "total": [1, 2]}
    found = {
        "rows": 3,
        "of": None,
        "exact": False,
        "tokens": 30,
        "lengths": dict.fromkeys(("prompt", "answer", "total"), summary),
        "histogram": counts,
        "cutoff": {
            "cutoff_len": 12,
            "rows_cut": 2,
            "share_cut": 0.667,
            "tokens_lost": 6,
            "share_lost": 0.2,
        },
        "padding": {"batch_size": 2, "random": 0.25, "grouped": 0.1},
        "packing": None,
    }
    figure = length_chart.figure(found, "en")
    assert figure["layout"]["shapes"][0]["x0"] == 12
    assert [trace["y"] for trace in figure["traces"]] == [[3, 0, 0], [2, 1, 0], [1, 2, 0]]
    said = "\n".join(length_chart.words(found, "en"))
    assert "2 examples are cut (66.7%), 6 tokens are lost (20.0%)" in said
    assert "25.0%" in said


STAND_IN = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "die":
        sys.exit("out of luck")
    if asked["do"] == "hang":
        sys.stdin.read()
    if asked["do"] == "torn":
        print('{"answer": {"n', end="", flush=True)
        sys.exit("killed in the midst of a word")
    if asked["do"] == "refuse":
        told = {"problems": [{"code": "dataset_required", "field": "dataset", "params": {}}]}
    else:
        print(json.dumps({"progress": [1, 2]}), flush=True)
        told = {"answer": {"n": asked["do"]}}
    print(json.dumps(told), flush=True)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for the child, started in its place."""
    stand_in_for_children(STAND_IN, tmp_path, monkeypatch)
    yield
    inspection._child.end()


@pytest.mark.usefixtures("child")
def test_the_child_is_warm_and_comes_back() -> None:
    assert list(inspection.ask({"do": "a"})) == [{"progress": [1, 2]}, {"answer": {"n": "a"}}]
    first = inspection._child.pid
    list(inspection.ask({"do": "b"}))
    assert inspection._child.pid == first
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert list(inspection.ask({"do": "c"}))[-1] == {"answer": {"n": "c"}}
    assert inspection._child.pid not in {first, None}


@pytest.mark.usefixtures("child")
def test_crash_silence_and_refusal_are_named() -> None:
    with pytest.raises(ModelError, match="out of luck"):
        list(inspection.ask({"do": "die"}))
    with pytest.raises(ModelError, match="in the midst of a word"):
        list(inspection.ask({"do": "torn"}))
    with pytest.raises(ModelError) as caught:
        list(inspection.ask({"do": "hang"}, seconds=0.5))
    assert caught.value.problems[0].code == "inspection_silent"
    with pytest.raises(TuneboardError) as refused:
        list(inspection.ask({"do": "refuse"}))
    assert refused.value.problems[0].code == "dataset_required"
    assert list(inspection.ask({"do": "d"}))[-1] == {"answer": {"n": "d"}}


@pytest.mark.usefixtures("child")
def test_a_visitor_who_leaves_ends_the_work() -> None:
    asked = inspection.ask({"do": "e"})
    next(asked)
    assert isinstance(asked, Generator)
    asked.close()
    assert inspection._child.pid is None
