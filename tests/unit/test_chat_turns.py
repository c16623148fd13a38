"""What the Chat tab sends: roles, calls that were made, tools and the seed."""

import json
from typing import Any

import pytest

from app.services.chat import chat_client, chat_turns
from app.tabs.chat import settings
from backend.contract.preflight.model_server import deltas_of
from backend.contract.texts.problems import UsageError

CALL = {"function": {"name": "weather", "arguments": '{"city": "巴黎"}'}}


def shown_calls(*calls: dict[str, Any]) -> str:
    """The text of calls that come one after the other, whole."""
    text = chat_turns.CallText()
    return text.add({"tool_calls": calls}) + text.close()


def test_a_call_goes_out_as_it_came_in() -> None:
    """The page shows it as text; the next request has it as a call again."""
    shown = "I look.\n" + shown_calls(CALL, CALL)
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": shown},
        {"role": "tool", "content": "rain"},
    ]
    found = chat_turns.messages(history, " be kind ")
    function = {"name": "weather", "arguments": {"city": "巴黎"}}
    assert found == [
        {"role": "system", "content": " be kind "},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"type": "function", "function": function}] * 2,
        },
        {"role": "tool", "content": "rain"},
    ]


def test_a_question_without_an_answer_is_not_sent_with_the_next() -> None:
    """The model took an error for what it had said; templates refuse two questions in a row."""
    asked = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Who are you?"}]
    begun = {"role": "assistant", "content": "I am"}
    assert chat_turns.messages(asked, "") == [asked[1]]
    assert chat_turns.messages([asked[0], begun, asked[1]], "") == [asked[0], begun, asked[1]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("  \n", []),
        ("[]", []),
        ('[{"name": "a"}]', [{"type": "function", "function": {"name": "a"}}]),
        (
            '[{"type": "function", "function": {"name": "a", "parameters": {}}}]',
            [{"type": "function", "function": {"name": "a", "parameters": {}}}],
        ),
    ],
)
def test_tools_of_the_box(text: str, found: list[Any]) -> None:
    assert chat_turns.parse_tools(text) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "tools_json"),
        ("[" * 100_000, "tools_json"),
        ('{"name": "a"}', "tools_list"),
        ("3", "tools_list"),
        ("[3]", "tools_name"),
        ('[{"name": "a"}, {"description": "b"}]', "tools_name"),
        ('[{"name": 3}]', "tools_name"),
        ('[{"function": "a"}]', "tools_name"),
    ],
)
def test_what_is_wrong_with_the_tools_is_said_beside_them(text: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        chat_turns.parse_tools(text)
    assert caught.value.problems[0].code == code
    mark = settings.check_tools("zh", text)
    assert mark["elem_classes"] == ["wrong"]
    assert caught.value.problems[0].text("zh") in mark["info"]
    assert settings.check_tools("en", "")["elem_classes"] == []


@pytest.mark.parametrize(("text", "number"), [("", None), (" -1 ", None), ("7", 7), ("0", 0)])
def test_seeds(text: str, number: int | None) -> None:
    assert chat_turns.parse_seed(text) == number


@pytest.mark.parametrize("text", ["x", "1.5", "-2", "²", "9" * 30])
def test_a_seed_that_is_none_is_said(text: str) -> None:
    """It was left out without a word: the same question then had another answer each time."""
    with pytest.raises(UsageError) as caught:
        chat_turns.parse_seed(text)
    assert caught.value.problems[0].code == "chat_seed"


def test_calls_in_a_stream_are_shown() -> None:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"content": "I look."},
        {"tool_calls": [{"index": 0, **CALL}]},
        {},
    ]
    lines = [f"data: {json.dumps({'choices': [{'delta': delta}]})}" for delta in deltas]
    pieces = list(chat_client._pieces(deltas_of(iter([*lines, "", "data: [DONE]"]))))
    assert "".join(pieces) == "I look." + shown_calls(CALL)


def test_a_call_in_pieces_is_the_call() -> None:
    """vLLM and SGLang sent pieces of arguments, which the page took for whole calls and failed."""
    text = chat_turns.CallText()
    pieces = [
        {"content": "I look.", "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"content": "Done."},
    ]
    call = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    assert "".join(map(text.add, pieces)) == f"I look.{shown_calls(call)}Done."
    assert text.close() == ""


def test_a_thought_is_shown_apart_and_goes_out_as_one() -> None:
    """A server tells thoughts as reasoning_content (vLLM of late as reasoning), the page shows them
    between marks, and the next request, or a kept row, has them as reasoning_content again."""
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Tea "},
        {"reasoning": "time."},
        {"content": "At "},
        {"content": "seven."},
        {"tool_calls": [CALL]},
    ]
    lines = ["data: " + json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
    shown = "".join(chat_client._pieces(deltas_of(iter([*lines, "", "data: [DONE]"]))))
    assert shown.startswith("<thought>\nTea time.\n</thought>\n\nAt seven.")
    (message,) = chat_turns.messages([{"role": "assistant", "content": shown}], "")
    assert (message["reasoning_content"], message["content"]) == ("Tea time.", "At seven.")
    assert message["tool_calls"][0]["function"]["name"] == "weather"


def test_a_thought_that_was_stopped_is_a_thought() -> None:
    (message,) = chat_turns.messages([{"role": "assistant", "content": "<thought>\nTea"}], "")
    assert message == {"role": "assistant", "reasoning_content": "Tea", "content": ""}
    plain = {"role": "assistant", "content": "<think>Tea</think>At seven."}
    assert chat_turns.messages([plain], "") == [plain]
