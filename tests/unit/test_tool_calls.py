"""Tool calls are found in an answer's text, whole or in pieces; anything else stays text."""

import json
from typing import Any

import pytest

from backend.serving.calls import Calls

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "weather", "parameters": {}}},
    {"name": "get_time", "parameters": {}},
]
PARIS = '{"name": "weather", "arguments": {"city": "Paris"}}'
LLAMA = '{"name": "weather", "parameters": {"city": "Paris"}}'
WANTED = [("weather", {"city": "Paris"})]

CALLS = [
    (f"<tool_call>\n{PARIS}\n</tool_call>", "", WANTED),
    (f"I will look.\n<tool_call>{PARIS}</tool_call>\n", "I will look.\n", WANTED),
    (
        f"<tool_call>{PARIS}</tool_call>\n<tool_call>{LLAMA}</tool_call>",
        "",
        [*WANTED, *WANTED],
    ),
    (f"<tool_call>\n{PARIS}", "", WANTED),  # the end token came instead of the closing mark
    (
        '<tool_call>{"name": "other", "arguments": "{\\"a\\": 1}"}</tool_call>',
        "",
        [("other", {"a": 1})],
    ),
    (f"[TOOL_CALLS] [{PARIS}]", "", WANTED),
    (f"[{PARIS}, {PARIS}]", "", [*WANTED, *WANTED]),  # the mark is a special token, left out
    ('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}', "", WANTED),
    ('weather{"city": "Paris"}', "", WANTED),
    (LLAMA, "", WANTED),
    (f"<|python_tag|>{LLAMA}; {LLAMA}", "", [*WANTED, *WANTED]),
    ('{"name": "get_time"}', "", [("get_time", {})]),
    ('  \n{"name": "weather", "arguments": {"city": "巴黎"}}', "", [("weather", {"city": "巴黎"})]),
]
TEXTS = [
    "",
    "The weather is fine.",
    "weather is a big word",
    "<tool_call>not json</tool_call>",
    f"<tool_call>{PARIS}</tool_call> and more words",
    '{"name": "unknown", "arguments": {}}',
    '{"city": "Paris"}',
    '{"name": "weather", "arguments": [1]}',
    f"{PARIS} is how I would call it",
    "[1, 2, 3]",
    "[TOOL_CALLS] oh",
    "a < b and <tool",
    '{"name": 3}',
]


def taken(
    text: str, size: int, tools: list[dict[str, Any]] | None = TOOLS
) -> tuple[str, list[Any]]:
    """The shown text and the calls of a text that comes in pieces of this size."""
    calls = Calls(tools)
    shown = "".join(calls.add(text[at : at + size]) for at in range(0, len(text), size))
    rest, found = calls.end()
    for call in found:
        assert set(call) == {"id", "type", "function"}
        assert call["type"] == "function"
    assert len({call["id"] for call in found}) == len(found)
    return shown + rest, [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("text", "shown", "wanted"), CALLS)
def test_calls_are_found(
    text: str, shown: str, wanted: list[tuple[str, dict[str, Any]]], size: int
) -> None:
    assert taken(text, size) == (shown, wanted)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_call_is_shown_to_the_letter(text: str, size: int) -> None:
    assert taken(text, size) == (text, [])


@pytest.mark.parametrize("text", [text for text, _, _ in CALLS])
def test_without_tools_everything_is_text(text: str) -> None:
    assert taken(text, 3, None) == (text, [])
    assert taken(text, 3, []) == (text, [])


def test_ordinary_text_is_not_held_back() -> None:
    """Somebody watches the answer grow: only what may become a call waits."""
    calls = Calls(TOOLS)
    assert calls.add("The ") == "The "
    assert calls.add("sky <") == "sky "
    assert calls.add("3") == "<3"
    assert calls.add(' {"name') == ' {"name'
