"""Conversations whose turns are out of order: taken with a notice, refused where that is asked for.
LLaMA-Factory's newest converters (v1, data_plugins/converter.py) take them as
they are; its older ones, like strict_turns here, leave them out."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.contract.registry.dataset_info import Entry
from backend.datafiles import formats, layouts
from backend.datafiles.check import Checking, check
from backend.datafiles.turns import RowError

WHO = {"s": "system", "u": "user", "a": "assistant", "t": "tool", "c": "assistant"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {}}}


def talk(words: str) -> list[dict[str, Any]]:
    """u:hi a:yes c: t:1 -> messages; c is a call, s:- a system text that is null."""
    made = []
    for word in words.split():
        who, _, content = word.partition(":")
        message: dict[str, Any] = {"role": WHO[who], "content": None if content == "-" else content}
        made.append({**message, "tool_calls": [CALL]} if who == "c" else message)
    return made


def abbreviate(messages: list[dict[str, Any]]) -> str:
    """The reverse; a greeting that is not learned as g, joined texts with +."""
    words = []
    for message in messages:
        who = next(key for key, role in WHO.items() if role == message["role"])
        who = "c" * len(message["tool_calls"]) if message.get("tool_calls") else who
        who = "g" if message.get("train") is False else who
        words.append(f"{who}:{message['content']}".replace("\n\n", "+"))
    return " ".join(words)


# Turns -> as they are learned, what is told. "" : refused, with the code.
CASES: list[tuple[str, str, tuple[str, ...]]] = [
    ("u:q a:a", "u:q a:a", ()),
    ("s:x u:q a:a u:r a:b", "s:x u:q a:a u:r a:b", ()),
    ("u:q u:r a:a", "u:q+r a:a", ("row_joined",)),
    ("u:q u:r u:s a:a", "u:q+r+s a:a", ("row_joined",)),
    ("u:q a:a a:b", "u:q a:a+b", ("row_joined",)),
    ("u:q a:a a:b u:r a:c", "u:q a:a+b u:r a:c", ("row_joined",)),
    ("s:x s:y u:q a:a", "s:x+y u:q a:a", ("row_joined",)),
    ("u: u:q a:a", "u:q a:a", ("row_joined",)),
    ("u:q a:say c: t:1 a:b", "u:q c:say t:1 a:b", ("row_joined",)),
    ("u:q c: c: t:1 t:2 a:b", "u:q cc: t:1 t:2 a:b", ("row_joined",)),
    ("u:q c: t:1 a:a a:b", "u:q c: t:1 a:a+b", ("row_joined",)),
    ("a:hi u:q a:a", "g:hi u:q a:a", ("row_greeting",)),
    ("s:x a:hi u:q a:a", "s:x g:hi u:q a:a", ("row_greeting",)),
    ("a:hi a:ho u:q a:a", "g:hi+ho u:q a:a", ("row_joined", "row_greeting")),
    ("u:q a:a s:x u:r a:b", "u:q a:a s:x u:r a:b", ("row_late_system",)),
    ("u:q s:x a:a", "u:q s:x a:a", ("row_late_system",)),
    ("s:x u:q a:a s:y u:r a:b", "s:x u:q a:a s:y u:r a:b", ("row_late_system",)),
    ("a:hi s:x u:q a:a", "g:hi s:x u:q a:a", ("row_greeting", "row_late_system")),
    ("s:- u:q a:a", "u:q a:a", ("row_null_system",)),
    ("u:q a:a s:- u:r a:b", "u:q a:a u:r a:b", ("row_null_system",)),
    ("u:q s:- u:r a:b", "u:q+r a:b", ("row_null_system", "row_joined")),
    ("s: u:q a:a", "s: u:q a:a", ()),
    ("a:hi", "", ("row_roles",)),
    ("s:x a:hi", "", ("row_roles",)),
    ("a:hi u:q", "", ("row_no_last_answer",)),
    ("u:q", "", ("row_no_last_answer",)),
    ("u:q a:a s:x", "", ("row_no_last_answer",)),
    ("u:q c: a:a", "", ("row_roles",)),
    ("u:q t:1 a:a", "", ("row_roles",)),
    ("u:q c: t:1 u:r a:b", "", ("row_roles",)),
    ("u:q a:a a: ", "u:q a:a", ("row_joined",)),
    ("u:q a: u:r a:b", "", ("row_empty_answer",)),
    ("u:- a:a", "", ("row_wrong_type",)),
]


def read(row: dict[str, Any], wanted: str = "answer", strict: bool = False) -> Any:
    """The conversation, or the code of its refusal."""
    layout = layouts.layout(Entry(name="x"), row, ("x", 1), wanted)
    try:
        return formats.reader(layout, strict=strict)(row)
    except RowError as error:
        return error.code


def test_turns_are_put_in_order_and_told() -> None:
    seen = 0
    for words, learned, notes in CASES:
        messages = talk(words)
        sharegpt = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}
        pairs = [
            {"from": sharegpt[message["role"]], "value": message["content"]} for message in messages
        ]
        rows: list[dict[str, Any]] = [{"messages": messages}, {"messages": messages, "label": True}]
        rows += [] if "c:" in words else [{"conversations": pairs}]
        for row in rows:
            conversation = read(row, "label" if "label" in row else "answer")
            if not learned:
                assert conversation == notes[0], words
            else:
                assert (abbreviate(conversation.messages), conversation.notes) == (
                    learned,
                    notes,
                ), words
                seen += 1
            strict = read(row, strict=True)
            if notes and learned:
                assert strict in {"row_roles", "row_wrong_type"}, words
            elif learned:
                assert strict.messages == conversation.messages
    assert seen > 60


def test_preferences_and_questions() -> None:
    pair = {"chosen": talk("a:good"), "rejected": talk("a:bad")}
    conversation = read({"prompt": talk("a:hi u:q u:r"), **pair}, "pair")
    assert (abbreviate(conversation.messages), conversation.notes) == (
        "g:hi u:q+r",
        ("row_joined", "row_greeting"),
    )
    assert (conversation.chosen["content"], conversation.rejected["content"]) == ("good", "bad")
    whole = {"chosen": talk("u:q a:go a:od"), "rejected": talk("u:q a:bad")}
    conversation = read(whole, "pair")
    assert (abbreviate(conversation.messages), conversation.chosen["content"]) == (
        "u:q",
        "go\n\nod",
    )
    assert conversation.notes == ("row_joined",)
    assert read(whole, "pair", strict=True) == "row_two_questions"
    # an answer of the question itself is not joined with the answers that are compared
    assert read({"prompt": talk("u:q a:a"), **pair}, "pair") == "row_roles"
    conversation = read({"prompt": talk("s:- a:hi u:q u:r")}, "prompt")
    assert abbreviate(conversation.messages) == "g:hi u:q+r"
    assert conversation.notes == ("row_null_system", "row_joined", "row_greeting")
    assert read({"prompt": talk("a:hi")}, "prompt") == "row_roles"
    assert read({"prompt": talk("s:x")}, "prompt") == "row_no_question"


def test_two_speakers_and_two_kinds_of_answers_are_not_joined() -> None:
    named = [{"role": "user", "content": "q", "name": name} for name in ("ann", "bob")]
    assert read({"messages": [*named, *talk("a:a")]}) == "row_roles"
    assert (
        abbreviate(read({"messages": [named[0], named[0], *talk("a:a")]}).messages) == "u:q+q a:a"
    )
    marked = [*talk("u:q"), {**talk("a:draft")[0], "train": False}, *talk("a:a")]
    assert read({"messages": marked}) == "row_roles"
    thoughts = [
        {**message, "reasoning_content": message["content"] * 2} for message in talk("a:a a:b")
    ]
    (_, answer) = read({"messages": [*talk("u:q"), *thoughts]}).messages
    assert (answer["content"], answer["reasoning_content"]) == ("a\n\nb", "aa\n\nbb")
    ids = [{**message, "id": number} for number, message in enumerate(talk("u:q u:r a:a"))]
    assert read({"messages": ids}).messages[0] == {"role": "user", "content": "q\n\nr", "id": 0}


def test_a_check_counts_them_and_strictly_refuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    rows = [talk("u:q a:a"), talk("u:p u:r a:b"), talk("a:hi u:s a:c"), talk("u:q u:q a:d")]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    report = check(Entry(name="x", path=path), Checking("sft"))
    findings = {
        finding.problem.code: (finding.level, finding.lines) for finding in report.findings.values()
    }
    assert findings == {"row_joined": ("notice", [2, 4]), "row_greeting": ("notice", [3])}
    assert report.good
    assert main(["data", "check", "x.jsonl"]) == 0
    assert "turns of one role follow each other: 2 (first: line 2)" in capsys.readouterr().out
    assert main(["data", "check", "x.jsonl", "--strict_turns", "--json"]) == 3
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["level"], finding["lines"]) == (
        "row_roles",
        "refused",
        [2, 3, 4],
    )
