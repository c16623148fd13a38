"""Tool calls over HTTP: the model's words are put in its mouth, token by token."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.model.generation import Sampling
from backend.serving.app import build
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.service import Service

URL = "/v1/chat/completions"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
HELLO = [{"role": "user", "content": "How is the weather in Paris?"}]
CALL = 'I look.<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'


class Speaker:
    """Stands in for the engine: says `words`, three letters at a time."""

    has_adapter = False
    joins = False
    context = None
    words = CALL
    finish = "stop"

    def __init__(self) -> None:
        self.asked: list[GenerationRequest] = []

    def answer(self, ask: GenerationRequest, show: Callable[[str], None]) -> Answer:
        self.asked.append(ask)
        for at in range(0, len(self.words), 3):
            show(self.words[at : at + 3])
        return Answer(prompt_tokens=5, completion_tokens=7, finish=self.finish)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def client(speaker: Speaker) -> Iterator[TestClient]:
    service = Service("speaker", lambda: speaker)
    app = build(service, Sampling(), host="127.0.0.1", key=None)
    with TestClient(app, base_url="http://127.0.0.1:8000") as made:
        while made.get("/health").json()["status"] != "ready":
            pass
        yield made


def choice(client: TestClient, **more: Any) -> dict[str, Any]:
    body = client.post(URL, json={"messages": HELLO, **more}).json()
    result: dict[str, Any] = body["choices"][0]
    return result


def test_a_call_is_told_as_one(client: TestClient) -> None:
    result = choice(client, tools=TOOLS)
    assert result["finish_reason"] == "tool_calls"
    message = result["message"]
    assert (message["role"], message["content"]) == ("assistant", "I look.")
    (call,) = message["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


def test_a_call_alone_has_no_content(client: TestClient, speaker: Speaker) -> None:
    speaker.words = CALL.removeprefix("I look.")
    assert choice(client, tools=TOOLS)["message"]["content"] is None


def test_a_call_in_a_stream(client: TestClient) -> None:
    body = {"messages": HELLO, "tools": TOOLS, "stream": True}
    lines = client.post(URL, json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content") or "" for delta in deltas) == "I look."
    (begin, *rest) = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert begin == {
        "index": 0,
        "id": begin["id"],
        "type": "function",
        "function": {"name": "weather", "arguments": ""},
    }
    assert all(set(call) == {"index", "function"} for call in rest)
    arguments = [call["function"]["arguments"] for call in rest]
    assert len(arguments) > 2
    assert "".join(arguments) == '{"city": "Paris"}'
    assert [e["choices"][0]["finish_reason"] for e in events][-1] == "tool_calls"
    assert lines[-2] == "data: [DONE]"


@pytest.mark.parametrize("more", [{}, {"tools": []}, {"tools": TOOLS, "tool_choice": "none"}])
def test_without_tools_it_is_text(client: TestClient, speaker: Speaker, more: Any) -> None:
    result = choice(client, **more)
    assert result["message"] == {"role": "assistant", "content": CALL}
    assert result["finish_reason"] == "stop"
    assert not speaker.asked[0].tools


def test_a_call_that_was_cut_before_its_arguments_is_text(
    client: TestClient, speaker: Speaker
) -> None:
    speaker.words, speaker.finish = CALL[:-35], "length"
    result = choice(client, tools=TOOLS)
    assert result["message"]["content"] == CALL[:-35]
    assert result["finish_reason"] == "length"


def test_each_choice_has_its_own_calls(client: TestClient) -> None:
    body = client.post(URL, json={"messages": HELLO, "tools": TOOLS, "n": 2}).json()
    ids = [choice_of_body["message"]["tool_calls"][0]["id"] for choice_of_body in body["choices"]]
    assert len(set(ids)) == 2


def test_the_result_goes_back_to_the_model(client: TestClient, speaker: Speaker) -> None:
    """The conversation with the call and its result reaches the template as messages of its own."""
    message = choice(client, tools=TOOLS)["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
    client.post(URL, json={"messages": [*HELLO, message, result], "tools": TOOLS})
    messages = speaker.asked[1].messages
    assert [one["role"] for one in messages] == ["user", "assistant", "tool"]
    call_id = message["tool_calls"][0]["id"]
    function = {"name": "weather", "arguments": {"city": "Paris"}}
    assert messages[1]["tool_calls"] == [{"id": call_id, "type": "function", "function": function}]
    assert (messages[2]["content"], messages[2]["tool_call_id"]) == ("rain", call_id)
