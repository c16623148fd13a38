"""The messages of a request: what is taken, and what is refused by the name of its place."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.backend.test_serve_replay import CALLED, SAID, TALK, URL, prompt_tokens, speaking
from tests.backend.test_tool_templates import QUESTION, TOOLS, read_shipped

HELLO: Any = [{"role": "user", "content": "Hello"}]
AT = {message["role"]: number for number, message in enumerate(TALK)}
TOOL_CALL: Any = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "tool_calls": [TOOL_CALL, {**TOOL_CALL, "id": "b"}]}
UNNAMED = {**CALLS, "tool_calls": [{"function": {"name": "f"}}] * 2}

# role: (field, value): taken though Qwen3's template does not read it
TAKEN: dict[str, list[tuple[str, Any]]] = {
    "assistant": [
        *[(name, None) for name in ("refusal", "audio", "function_call", "name", "prefix")],
        *[("annotations", []), ("audio", {}), ("name", ""), ("prefix", False)],
        *[(name, "Hm.") for name in ("reasoning_content", "thinking", "reasoning")],
        *[("refusal", "No."), ("parsed", {"hour": 12}), ("id", "msg-1"), ("reasoning_details", [])],
        ("provider_specific_fields", {"refusal": None, "citations": None}),
    ],
    "tool": [("tool_call_id", "a"), ("name", "get_time"), ("name", ""), ("status", "success")],
    "user": [("name", None), ("annotations", None), ("tool_calls", []), ("id", "msg-2")],
    "system": [("name", ""), ("cache_control", {"type": "ephemeral"})],
}
UNREAD: dict[str, list[tuple[str, Any]]] = {
    "assistant": [
        *[("name", "ann"), ("annotations", [{"type": "url_citation"}]), ("prefix", True)],
        *[("audio", {"id": "x"}), ("function_call", {"name": "f"}), ("tool_call_id", "a")],
        *[("weight", 1), ("weight", 0), ("reasoning_details", [{"text": "Hm."}])],
        ("provider_specific_fields", {"thinking_blocks": [{"thinking": "Hm."}]}),
    ],
    "tool": [
        ("status", "error"),
        ("name", "ann"),
        ("mood", "good"),
        ("tool_calls", [CALLED]),
        ("is_error", True),
    ],
    "user": [("name", "ann"), ("tool_call_id", "a"), ("tool_calls", [CALLED]), ("mood", "x")],
    "system": [("name", "ann"), ("parsed", "x")],
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with speaking(read_shipped()["qwen3"], [], "<|im_end|>", "Yes.") as client:
        yield client


def test_fields_of_messages_that_the_template_does_not_read(client: TestClient) -> None:
    """What says nothing, or what its place says too, is taken (openai 3.57 sends an answer back
    with its nulls and `parsed`, langchain-openai 1.7 a name where a message has one, LiteLLM
    provider_specific_fields, Vercel's AI SDK an id); the rest is refused."""
    seen = 0
    for table, status in ((TAKEN, 200), (UNREAD, 400)):
        for role, fields in table.items():
            for name, value in fields:
                talk = [{**m, name: value} if m["role"] == role else m for m in TALK]
                answer = client.post(URL, json={"messages": talk, "tools": TOOLS})
                assert answer.status_code == status, (role, name, value, answer.text)
                seen += 1
                if status == 400:
                    error = answer.json()["error"]
                    assert error["param"] == f"messages.{AT[role]}.{name}"
                    # OpenAI's older function_call is told where calls stand today
                    reason = "tool_calls" if name == "function_call" else "has no effect"
                    assert error["message"].startswith(error["param"])
                    assert reason in error["message"]
    assert seen == sum(len(fields) for table in (TAKEN, UNREAD) for fields in table.values()) > 35


def test_the_thought_in_parts_is_taken_beside_the_thought(client: TestClient) -> None:
    """OpenRouter's answers have `reasoning`, and once more as `reasoning_details`."""
    parts = [{"type": "reasoning.text", "text": "Hm."}]
    for name in ("reasoning", "reasoning_content"):
        turn = {"role": "assistant", "content": "Tea.", name: "Hm."}
        for more in ({}, {"reasoning_details": parts}):
            assert prompt_tokens(client, messages=[*QUESTION, {**turn, **more}, *QUESTION]) > 9


def result(name: str | None, text: str = "x") -> dict[str, Any]:
    """What a tool gave back, for the call of this id."""
    return {"role": "tool", "content": text, **({"tool_call_id": name} if name else {})}


# What stands in messages and is refused (the place, its code), or taken (no place).
PLACES: list[tuple[list[Any], str, str]] = [
    *[
        ([{"role": "user", "content": content}], "messages.0.content", "bad_content")
        for content in (5, 0, True, {}, {"type": "text"}, ["hi"], [{"type": "text"}, 5], [None])
    ],
    *[
        ([{"role": role, **more}], f"messages.0.{name}", "not_text")
        for name in ("reasoning_content", "reasoning", "thinking", "name", "tool_call_id")
        for role, more in (("assistant", {name: ["a"]}), ("tool", {name: {"a": 1}}))
        for more in (more, {name: 5})
    ],
    (
        [{"role": "user", "content": [{"type": "text", "text": "x", "mood": "good"}]}],
        "messages.0.content.0.mood",
        "unknown_parameter",
    ),
    ([{"role": "user", "content": [{"text": "x"}]}], "messages.0.content.0.type", "bad_parameter"),
    ([{"role": "robot", "content": "x"}], "messages.0.role", "bad_parameter"),
    ([*HELLO, {"role": "function", "name": "f"}], "messages.1.role", "use_role_tool"),
    (
        [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
        "messages.0.function_call",
        "use_tool_calls",
    ),
    *[
        (
            [{**CALLS, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}],
            "messages.0.tool_calls.0.function.arguments",
            "bad_tool_arguments",
        )
        for arguments in ("{", 5, ["x"])
    ],
    # Which call a result answers: OpenAI's API answers these with 400, too.
    ([CALLS, result("b"), result("zzz")], "messages.2.tool_call_id", "result_unknown"),
    ([CALLS, result("a"), result("a")], "messages.2.tool_call_id", "result_twice"),
    ([CALLS, result("a"), result(None)], "messages.2.tool_call_id", "result_unnamed"),
    ([CALLS, result("b")], "messages.0.tool_calls.0", "call_unanswered"),
    ([*HELLO, result("a")], "messages.1", "result_without_call"),
    ([CALLS, result("a"), result("b"), *HELLO, result("a")], "messages.4", "result_without_call"),
    (
        [{**CALLS, "tool_calls": [TOOL_CALL, TOOL_CALL]}, result("a")],
        "messages.0.tool_calls.1.id",
        "call_id_twice",
    ),
    ([CALLS, result("b"), result("a")], "", ""),
    ([CALLS, result("b"), result("a"), CALLS, result("a"), result("b")], "", ""),
    ([CALLS, result(None), result(None)], "", ""),
    ([UNNAMED, result("a"), result("b")], "", ""),
    ([UNNAMED, result(None), result(None)], "", ""),
    ([CALLS, *HELLO], "", ""),
    (
        [*HELLO, result(None)],
        "",
        "",
    ),  # the page's chat, where the model wrote no call that is known
    ([{"role": "assistant", "content": "x", "tool_calls": []}], "", ""),
    *[
        ([{"role": role, "content": [{"type": "text", "text": "x", name: hint}]}], "", "")
        for role in ("system", "user", "assistant")
        for name, hint in (
            ("cache_control", {"type": "ephemeral"}),
            ("prompt_cache_breakpoint", {"mode": "explicit"}),
            ("cache_control", None),
        )
    ],
]


def test_what_is_refused_in_messages_is_named_by_its_place(client: TestClient) -> None:
    """Each place in `param` and at the start of what is said; never a type's name (content.str), as
    pydantic 2 puts it there for a value that may be one of several types."""
    for messages, place, code in PLACES:
        answer = client.post(URL, json={"messages": messages})
        assert answer.status_code == (400 if place else 200), (messages, answer.text)
        if place:
            error = answer.json()["error"]
            assert (error["param"], error["code"]) == (place, code), (messages, error)
            assert error["message"].startswith(place) or code == "bad_tool_arguments", error
    assert len(PLACES) > 50


def test_the_schema_of_a_tool_is_its_parameters(client: TestClient) -> None:
    """Anthropic's `input_schema` (MCP's `inputSchema`) was taken, and no template read it."""
    for name in ("input_schema", "inputSchema"):
        function = {"name": "f", "description": "x", name: {"type": "object"}}
        for tool, place in ((function, f"tools.0.{name}"), ({"function": function}, None)):
            error = client.post(URL, json={"messages": HELLO, "tools": [tool]}).json()["error"]
            assert error["param"] == (place or f"tools.0.function.{name}")
            assert "under parameters" in error["message"]


def test_an_effort_is_said_once() -> None:
    special, end, text = SAID["gptoss"]
    variables = {"chat_template_kwargs": {"reasoning_effort": "low"}}
    with speaking(read_shipped()["gptoss"], special, end, text) as client:
        for effort, status in (("low", 200), ("high", 400)):
            asked = {"messages": HELLO, "reasoning_effort": effort, **variables}
            assert client.post(URL, json=asked).status_code == status
