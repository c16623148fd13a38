"""Format and columns are proposed from the rows, with a reason and how sure it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.contract.texts.problems import DataError
from backend.datafiles import detect, entering, samples
from backend.datafiles.detect import Proposal, entry_for, propose
from backend.datafiles.samples import Sample


def propose_rows(*rows: dict[str, Any]) -> Proposal:
    return propose(Sample("a.jsonl", list(rows), list(range(1, len(rows) + 1))))


def chat(*turns: tuple[str, Any], role: str = "from", content: str = "value") -> list[Any]:
    return [{role: who, content: what} for who, what in turns]


CHAT = chat(("human", "q"), ("gpt", "a"))
MESSAGES = chat(("user", "q"), ("assistant", "a"), role="role", content="content")
ALPACA = {"instruction": "q", "input": "", "output": "a"}

SHAPES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (ALPACA, "sft", {}),
    ({**ALPACA, "system": "s", "history": [["q", "a"]]}, "sft", {}),
    ({"prompt": "q", "response": "a"}, "sft", {"prompt": "prompt", "response": "response"}),
    ({"prompt": "q", "completion": "a"}, "sft", {"prompt": "prompt", "response": "completion"}),
    ({"q": "q", "a": "a"}, "sft", {"prompt": "q", "response": "a"}),
    ({"Answer": "a", "Question": "q"}, "sft", {"prompt": "Question", "response": "Answer"}),
    ({"input": "q", "output": "a"}, "sft", {"prompt": "input", "response": "output"}),
    ({"问题": "q", "回答": "a"}, "sft", {"prompt": "问题", "response": "回答"}),
    ({"用户输入": "q", "模型回答": "a"}, "sft", {"prompt": "用户输入", "response": "模型回答"}),
    (
        {"指令": "q", "输入": "x", "输出": "a", "系统提示": "s"},
        "sft",
        {"prompt": "指令", "response": "输出", "query": "输入", "system": "系统提示"},
    ),
    (
        {"Query": "q", "Context": "c", "reply": "a", "System Prompt": "s"},
        "sft",
        {"prompt": "Query", "response": "reply", "query": "Context", "system": "System Prompt"},
    ),
    ({"conversations": CHAT}, "sft", {}),
    ({"messages": MESSAGES, "id": 7}, "sft", {"messages": "messages"}),
    ({"dialogue": CHAT}, "sft", {"messages": "dialogue"}),
    (
        {"对话": chat(("用户", "q"), ("助手", "a"), role="角色", content="内容")},
        "sft",
        {"messages": "对话"},
    ),
    ({"whatever": chat(("Customer", "q"), ("Bot", "a"))}, "sft", {"messages": "whatever"}),
    (
        {"question": "q", "chosen": "a", "rejected": "b"},
        "preference",
        {"prompt": "question", "chosen": "chosen", "rejected": "rejected"},
    ),
    (
        {**ALPACA, "chosen": "a", "rejected": "b"},
        "preference",
        {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"},
    ),
    (
        {"conversations": CHAT[:1], "chosen": CHAT[1], "rejected": {"from": "gpt", "value": "b"}},
        "preference",
        {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    ),
    (
        {"问题": "q", "优选": "a", "劣选回答": "b"},
        "preference",
        {"prompt": "问题", "chosen": "优选", "rejected": "劣选回答"},
    ),
    (
        {"prompt": "q", "completion": "a", "label": True},
        "kto",
        {"prompt": "prompt", "response": "completion", "kto_tag": "label"},
    ),
    (
        {"question": "q", "reply": "a", "thumbs_up": "true"},
        "kto",
        {"prompt": "question", "response": "reply", "kto_tag": "thumbs_up"},
    ),
    (
        {"messages": MESSAGES, "kto_tag": False},
        "kto",
        {"messages": "messages", "kto_tag": "kto_tag"},
    ),
    ({"text": "t"}, "text", {"prompt": "text"}),
    ({"text": "t", "label": 1}, "text", {"prompt": "text"}),
    ({"正文": "t", "url": "1"}, "text", {"prompt": "正文"}),
    ({"prompt": "q"}, "prompt", {"prompt": "prompt"}),
]


@pytest.mark.parametrize(("row", "kind", "columns"), SHAPES)
def test_shapes_are_known(row: dict[str, Any], kind: str, columns: dict[str, str]) -> None:
    proposal = propose_rows(row, row)
    assert proposal.kind == kind
    assert proposal.confidence >= 0.75
    assert proposal.entry.get("columns", {}) == columns
    assert proposal.entry.get("ranking", False) == (kind == "preference")
    assert proposal.reasons
    for reason in proposal.reasons:
        assert "{" not in reason.text()
        assert reason.text("zh") != reason.text()


@pytest.mark.parametrize(("row", "kind", "columns"), SHAPES)
def test_a_proposal_can_be_learned_from(
    row: dict[str, Any], kind: str, columns: dict[str, str]
) -> None:
    proposal = propose_rows(row, row)
    made = detect.convert_row(proposal.entry, row, proposal.stage)
    assert made.messages or made.text or made.chosen
    if kind not in {"text", "prompt"}:
        assert made.answer is not None
        assert made.answer["content"] == "a"
        assert made.asked[-1]["content"].startswith("q")


def test_other_names_of_roles_become_tags() -> None:
    proposal = propose_rows(
        {"talk": chat(("Customer", "q"), ("Bot", "a"), role="who", content="text")}
    )
    tags = proposal.entry["tags"]
    assert (tags["role_tag"], tags["content_tag"]) == ("who", "text")
    assert (tags["user_tag"], tags["assistant_tag"]) == ("Customer", "Bot")


def test_unknown_names_fall_back_to_place_and_length_with_little_confidence() -> None:
    row = {"id": "17", "foo": "What is it?", "short": "x", "bar": "It is a long answer."}
    proposal = propose_rows(row, row)
    assert proposal.entry["columns"] == {"prompt": "foo", "response": "bar"}
    assert proposal.confidence <= 0.3
    assert [reason.code for reason in proposal.reasons] == ["detect_place", "detect_unused"]
    assert "short" in proposal.reasons[1].text()


def test_a_column_named_label_judges_nothing_unless_it_is_true_or_false() -> None:
    assert propose_rows({"question": "q", "answer": "a", "label": "math"}).kind == "sft"


@pytest.mark.parametrize("row", [{"n": 1, "m": 2.5}, {}, {"a": None}, {"a": []}, {"a": [[]]}])
def test_nothing_to_learn_is_said(row: dict[str, Any]) -> None:
    proposal = propose_rows(row)
    assert (proposal.kind, proposal.entry, proposal.confidence, proposal.stage) == ("", {}, 0.0, "")
    assert [reason.code for reason in proposal.reasons] == ["detect_nothing"]


def test_rows_that_do_not_fit_are_counted_with_their_line() -> None:
    proposal = propose(
        Sample("a.csv", [ALPACA, {**ALPACA, "output": ""}, ALPACA, ALPACA], [2, 4, 5, 6])
    )
    reason = proposal.reasons[-1]
    assert (reason.code, reason.params["line"], reason.params["count"]) == (
        "row_empty_answer",
        4,
        1,
    )


def test_the_entry_says_only_what_is_there() -> None:
    assert entry_for({"prompt": "q", "response": "a", "system": ""}) == {
        "columns": {"prompt": "q", "response": "a"}
    }
    assert entry_for({"messages": "m"}, formatting="sharegpt", tags={"user_tag": ""}) == {
        "formatting": "sharegpt",
        "columns": {"messages": "m"},
    }
    assert entry_for({}, ranking=True) == {"ranking": True}


def test_a_sample_ends_at_a_broken_line_and_a_first_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ALPACA) + "\n{\n")
    assert samples.sample(path).lines == [1]
    path.write_text("{\n")
    with pytest.raises(DataError):
        samples.sample(path)


def test_an_example_is_rendered_or_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"q": "ask", "a": "say"}))
    proposal, first = entering.propose_file(path)
    assert entering.example(proposal.entry, first, "sft").text() == "user: ask\nassistant: say"
    wrong = entering.example({"columns": {"prompt": "x", "response": "a"}}, first, "sft")
    assert wrong.problem is not None
    assert (wrong.problem.code, wrong.problem.params["file"]) == ("columns_missing", str(path))
    assert wrong.text() == wrong.problem.text()
