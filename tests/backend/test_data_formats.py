"""Every shape of row that users have becomes the same conversation; what cannot is counted."""

import csv
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import DataError
from backend.data import hub, sources
from tests.backend.conftest import write_dataset

VALUES: dict[str, Any] = {
    "dataset_dir": "data",
    "dataset": "x",
    "seed": 42,
    "identity_name": "Nova",
    "identity_author": "Ada",
}
SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}
TOOL = {"name": "now", "description": "time", "parameters": {"type": "object", "properties": {}}}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {"zone": "x"}}}],
}
TOOLS = [{"type": "function", "function": TOOL}]
ROLE_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def turn(role: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"from": role, "value": value, **more}


FORMATS: list[tuple[Any, dict[str, Any], list[dict[str, Any]]]] = [
    ({"instruction": "q", "output": "a"}, {}, [USER, ASSISTANT]),
    ({"instruction": "q", "input": "", "output": "a"}, {}, [USER, ASSISTANT]),
    (
        {"instruction": "i", "input": "j", "output": "a", "system": "be brief"},
        {},
        [SYSTEM, {"role": "user", "content": "i\nj"}, ASSISTANT],
    ),
    (
        {"instruction": "q", "output": "a", "history": [["q1", "a1"]]},
        {},
        [
            {"role": "user", "content": "q1"},
            {"role": "assistant", "content": "a1"},
            USER,
            ASSISTANT,
        ],
    ),
    (
        {"ask": "q", "reply": "a", "system": "not named, so absent"},
        {"columns": {"prompt": "ask", "response": "reply"}},
        [USER, ASSISTANT],
    ),
    ({"prompt": "q", "response": "a"}, {}, [USER, ASSISTANT]),
    ({"prompt": "q", "completion": "a"}, {}, [USER, ASSISTANT]),
    (
        {"conversations": [turn("human", "q"), turn("gpt", "a")], "system": "be brief"},
        {"formatting": "sharegpt"},
        [SYSTEM, USER, ASSISTANT],
    ),
    (
        {"conversations": [turn("system", "be brief"), turn("human", "q"), turn("gpt", "a")]},
        {},
        [SYSTEM, USER, ASSISTANT],
    ),
    (
        {"chat": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"formatting": "sharegpt", "columns": {"messages": "chat"}, "tags": ROLE_TAGS},
        [USER, ASSISTANT],
    ),
    (
        {
            "conversations": [
                turn("human", "q"),
                turn("function_call", json.dumps({"name": "now", "arguments": {"zone": "x"}})),
                turn("observation", "12:00"),
                turn("gpt", "a"),
            ],
            "tools": json.dumps([TOOL]),
        },
        {},
        [USER, CALL, {"role": "tool", "content": "12:00"}, ASSISTANT],
    ),
    ({"messages": [SYSTEM, USER, ASSISTANT]}, {}, [SYSTEM, USER, ASSISTANT]),
    (
        {
            "messages": [
                USER,
                {
                    **CALL,
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "now", "arguments": '{"zone": "x"}'},
                        }
                    ],
                },
                {
                    "role": "tool",
                    "content": [{"type": "text", "text": "12:00"}],
                    "tool_call_id": "1",
                },
                ASSISTANT,
            ],
            "tools": TOOLS,
        },
        {"formatting": "openai"},
        [
            USER,
            {**CALL, "tool_calls": [{"id": "1", **CALL["tool_calls"][0]}]},
            {"role": "tool", "content": "12:00", "tool_call_id": "1"},
            ASSISTANT,
        ],
    ),
    (
        {"messages": [USER, {**ASSISTANT, "train": False}, USER, {**ASSISTANT, "weight": 1}]},
        {},
        [USER, {**ASSISTANT, "train": False}, USER, ASSISTANT],
    ),
    (
        {"instruction": "Who?", "output": "{{name}} by {{author}}"},
        {"placeholders": True},
        [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Nova by Ada"}],
    ),
]


@pytest.mark.parametrize(("row", "entry", "messages"), FORMATS)
def test_formats(workspace: Path, row: Any, entry: dict[str, Any], messages: list[Any]) -> None:
    write_dataset(workspace, "x", [row, row], **entry)
    read = sources.read_conversations(resolve(VALUES), "dataset")
    assert [conversation.messages for conversation in read.conversations] == [messages, messages]
    assert read.conversations[0].tools == (TOOLS if row.get("tools") else None)
    assert read.refused == {}


def test_placeholders_are_text_where_the_entry_does_not_ask_for_them(workspace: Path) -> None:
    """A data set about Jinja templates must not come out with the assistant's name in it."""
    path = write_dataset(workspace, "x", [{"instruction": "Who?", "output": "{{name}}"}])
    write_dataset(
        workspace, "y", [{"instruction": "Who?", "output": "{{name}}"}], placeholders=True
    )
    for name in ("x", str(path), str(workspace / "data" / "y.json")):
        read = sources.read_conversations(resolve({**VALUES, "dataset": name}), "dataset")
        assert read.conversations[0].messages[1]["content"] == "{{name}}", name


GOOD = {"instruction": "q", "output": "a"}
CHAT = {"conversations": [turn("human", "q"), turn("gpt", "a")]}
REFUSED: list[tuple[dict[str, Any], Any, str]] = [
    (GOOD, {"instruction": "q", "output": " "}, "row_empty_answer"),
    (GOOD, {"instruction": {"q": 7}, "output": "a"}, "row_wrong_type"),
    (GOOD, {"instruction": "q", "output": ["a"]}, "row_wrong_type"),
    (GOOD, {"instruction": "q", "output": "a", "history": [["q"]]}, "row_wrong_type"),
    (GOOD, {"instruction": "q \ud83d", "output": "a"}, "row_bad_text"),
    (CHAT, {"conversations": []}, "row_no_messages"),
    (CHAT, {"conversations": "q"}, "row_wrong_type"),
    (CHAT, {"conversations": [turn("human", None), turn("gpt", "a")]}, "row_wrong_type"),
    (CHAT, {"conversations": [turn("gpt", "a"), turn("human", "q")]}, "row_no_last_answer"),
    (
        CHAT,
        {"conversations": [turn("human", "q"), turn("observation", "q"), turn("gpt", "a")]},
        "row_roles",
    ),
    (CHAT, {"conversations": [turn("human", "q")]}, "row_no_last_answer"),
    (CHAT, {"conversations": [turn("human", "q"), turn("alien", "a")]}, "row_unknown_role"),
    (CHAT, {"conversations": [turn("human", "q"), turn("gpt", "")]}, "row_empty_answer"),
    (
        CHAT,
        {
            "conversations": [
                turn("human", "q"),
                turn("function_call", "{"),
                turn("observation", "x"),
                turn("gpt", "a"),
            ]
        },
        "row_bad_tools",
    ),
    (CHAT, {**CHAT, "tools": "[1]"}, "row_bad_tools"),
    (CHAT, {"conversations": [turn("human", [{"type": "image"}]), turn("gpt", "a")]}, "row_media"),
]


@pytest.mark.parametrize(("good", "bad", "code"), REFUSED)
def test_refused_rows_are_counted_with_their_first_line(
    workspace: Path, good: dict[str, Any], bad: Any, code: str
) -> None:
    path = write_dataset(workspace, "x", [])
    path.write_text("\n".join(json.dumps(row) for row in [good, bad, good, bad]))
    read = sources.read_conversations(resolve(VALUES), "dataset")
    assert len(read.conversations) == 2
    assert [(counted.code, counted.line, counted.count) for counted in read.refused.values()] == [
        (code, 2, 2)
    ]
    for counted in read.refused.values():
        assert path.name in counted.problem().text("zh")


def test_only_refused_rows_are_an_error_with_the_reasons(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "q", "output": ""}] * 3)
    with pytest.raises(DataError) as caught:
        sources.read_conversations(resolve(VALUES), "dataset")
    assert [problem.code for problem in caught.value.problems] == [
        "dataset_without_rows",
        "row_empty_answer",
    ]


@pytest.mark.parametrize(
    ("row", "entry", "missing"),
    [
        ({"question": "q", "reply": "a"}, {}, "instruction"),
        ({"instruction": "q", "reply": "a"}, {}, "output"),
        ({"instruction": "q"}, {"columns": {"prompt": "instruction"}}, "columns.response"),
        ({"text": "q"}, {"formatting": "sharegpt"}, "conversations"),
        ({"conversations": []}, {"columns": {"messages": "chat"}}, "chat"),
    ],
)
def test_wrong_columns_are_named(
    workspace: Path, row: Any, entry: dict[str, Any], missing: str
) -> None:
    path = write_dataset(workspace, "x", [row], **entry)
    with pytest.raises(DataError) as caught:
        sources.read_conversations(resolve(VALUES), "dataset")
    problem = caught.value.problems[0]
    assert (problem.code, problem.params["missing"]) == ("columns_missing", missing)
    assert problem.params["present"] == ", ".join(row)
    assert (problem.params["file"], problem.params["line"]) == (str(path), 1)


def test_a_row_without_an_answer_is_an_error_with_its_line(workspace: Path) -> None:
    path = write_dataset(workspace, "x", [])
    path.write_text(f'{json.dumps(GOOD)}\n{{"instruction": "q"}}\n')
    with pytest.raises(DataError) as caught:
        sources.read_conversations(resolve(VALUES), "dataset")
    problem = caught.value.problems[0]
    assert (problem.code, problem.params["line"]) == ("row_without_answer", 2)


def test_several_sets_are_joined_and_limited(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": f"x{n}", "output": "a"} for n in range(5)])
    with (workspace / "data" / "y.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["instruction", "output"], ["y0", "a"], ["y1", "a"]])
    read = sources.read_conversations(
        resolve({**VALUES, "dataset": "x,data/y.csv", "max_samples": 3}), "dataset"
    )
    asked = [conversation.messages[0]["content"] for conversation in read.conversations]
    assert asked == ["x0", "x1", "x2", "y0", "y1"]
    assert [line for _, line in read.places] == [1, 1, 1, 2, 3]


def test_num_samples_draws_by_seed_and_repeats_where_it_must(workspace: Path) -> None:
    rows = [{"instruction": f"{n}", "output": "a"} for n in range(6)]
    write_dataset(workspace, "x", rows, num_samples=4)
    write_dataset(workspace, "y", rows, num_samples=15)

    def asked(name: str) -> list[str]:
        read = sources.read_conversations(resolve({**VALUES, "dataset": name}), "dataset")
        return [conversation.messages[0]["content"] for conversation in read.conversations]

    assert len(set(asked("x"))) == 4
    assert asked("x") == asked("x")
    assert len(asked("y")) == 15
    assert len(set(asked("y"))) == 6


def test_a_hub_that_does_not_answer_is_said_in_time(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that accepts and never answers: the worst kind of network."""
    import datasets
    import huggingface_hub.hf_api as hf_api

    write_dataset(workspace, "x", [], file_name=None, hf_hub_url="org/data")
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(hub, "DEADLINE", 1.0)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hf_api.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        hf_api.constants, "ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}"
    )
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        sources.read_conversations(resolve(VALUES), "dataset")
    listener.close()
    assert time.monotonic() - start < 15
    assert caught.value.problems[0].code == "dataset_hub_unreachable"
    assert "file_name" in str(caught.value)


def test_an_offline_machine_says_so_at_once(workspace: Path) -> None:
    write_dataset(workspace, "x", [], file_name=None, hf_hub_url="org/data")
    with pytest.raises(DataError, match="org/data"):
        sources.read_conversations(resolve(VALUES), "dataset")
