"""/v1/responses as OpenAI's own client sees it: items, the events of a stream, what is refused."""

import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

from backend.serving.responses_request import NEUTRAL, ResponsesRequest
from backend.serving.sampled_request import ACCEPTED
from backend.serving.service import Service
from tests.backend.openai_clients import connected
from tests.backend.test_openai_client import Faulty, error_of

openai = pytest.importorskip("openai")  # of the extra "dev"
TOOL: Any = {"type": "function", "name": "weather", "parameters": {}, "strict": False}


@pytest.fixture
def speaker() -> Faulty:
    return Faulty()


@pytest.fixture
def client(speaker: Faulty) -> Iterator[Any]:
    service = Service("tuned", lambda: speaker)
    with connected(service) as made:
        yield made


def test_a_text(client: Any, speaker: Faulty) -> None:
    speaker.words = "Hello, you."
    response = client.responses.create(
        model="tuned", input="Hi", instructions="Be kind.", max_output_tokens=50, temperature=0.5
    )
    assert response.output_text == "Hello, you."
    assert (response.status, response.model, response.object) == ("completed", "tuned", "response")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 7)
    assert response.instructions == "Be kind."
    (item,) = response.output
    assert (item.type, item.role, item.status) == ("message", "assistant", "completed")
    asked = speaker.asked[-1]
    assert asked.messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]
    assert (asked.sampling.max_tokens, asked.sampling.temperature) == (50, 0.5)


def test_an_answer_that_is_cut_is_incomplete(client: Any, speaker: Faulty) -> None:
    speaker.words, speaker.finish = "Hello", "length"
    response = client.responses.create(model="tuned", input="Hi")
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    assert response.output[0].status == "incomplete"
    events = list(client.responses.create(model="tuned", input="Hi", stream=True))
    assert events[-1].type == "response.incomplete"


def test_the_events_of_a_stream(client: Any, speaker: Faulty) -> None:
    """The client's own accumulator takes them, and knows every type."""
    speaker.words = "Hello, you."
    events = list(client.responses.create(model="tuned", input="Hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    assert "".join(event.delta for event in events[4:-4]) == "Hello, you."
    with client.responses.stream(model="tuned", input="Hi") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == "Hello, you."
    assert final.usage.total_tokens == 12


def test_a_call_and_its_result(client: Any, speaker: Faulty) -> None:
    """The items go back as the client holds them, with the result of the call."""
    conversation: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    asked: Any = {"model": "tuned", "tools": [TOOL]}
    response = client.responses.create(input=conversation, **asked)
    message, call = response.output
    assert message.content[0].text == "I look."
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "weather",
        {"city": "Paris"},
    )
    conversation += response.output
    conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    client.responses.create(input=conversation, **asked)
    messages = speaker.asked[-1].messages
    assert [each["role"] for each in messages] == ["user", "assistant", "tool"]
    assert messages[1]["content"] == "I look."
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert messages[2]["tool_call_id"] == call.call_id


def test_a_call_in_a_stream(client: Any) -> None:
    with client.responses.stream(model="tuned", input="Hi", tools=[TOOL]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    assert [item.type for item in final.output] == ["message", "function_call"]
    assert json.loads(final.output[1].arguments) == {"city": "Paris"}


def test_a_thought_is_an_item_of_its_own(client: Any, speaker: Faulty) -> None:
    from backend.serving.reasoning import Style

    speaker.style = Style(thought=("<think>", "</think>"))  # type: ignore[attr-defined]
    speaker.words = "<think>Let me see.</think>\n\nYes."
    response = client.responses.create(model="tuned", input="Hi")
    thought, message = response.output
    assert (thought.type, thought.content[0].text) == ("reasoning", "Let me see.")
    assert message.content[0].text == "Yes."
    events = list(client.responses.create(model="tuned", input="Hi", stream=True))
    kinds = {event.type for event in events}
    assert {"response.reasoning_text.delta", "response.reasoning_text.done"} <= kinds
    conversation = [*response.output, {"role": "user", "content": "?"}]
    client.responses.create(model="tuned", input=conversation)
    assert speaker.asked[-1].messages[0]["reasoning_content"] == "Let me see."


def test_a_format_reaches_the_engine(client: Any, speaker: Faulty) -> None:
    schema = {"type": "object", "properties": {}, "required": []}
    form: Any = {"type": "json_schema", "name": "x", "schema": schema, "strict": True}
    client.responses.create(model="tuned", input="Hi", text={"format": form})
    rule = speaker.asked[-1].rule
    assert rule is not None
    assert rule.schema == schema


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "c"}, "conversation"),
    ({"background": True}, "background"),
    ({"truncation": "auto"}, "truncation"),
    ({"include": ["file_search_call.results"]}, "include"),
    ({"text": {"verbosity": "low"}}, "text"),
    ({"tools": [{"type": "web_search"}]}, "tools"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        "input",
    ),
    ({"temperature": 3}, "temperature"),
    ({"extra_body": {"messages": []}}, "messages"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(
    client: Any, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "tuned", "input": "Hi", **more})
    assert error_of(caught.value)["param"].partition(".")[0] == param


def test_a_fault_in_a_stream_reaches_the_client(client: Any, speaker: Faulty) -> None:
    speaker.fault = ZeroDivisionError("deep inside")
    with pytest.raises(openai.APIError):
        list(client.responses.create(model="tuned", input="Hi", stream=True))


def test_every_field_of_openai_s_is_done_accepted_or_refused() -> None:
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    fields = set(get_type_hints(ResponseCreateParamsBase)) | {"stream"}
    assert len(fields) > 25
    done = set(ResponsesRequest.model_fields)
    assert not done & (set(NEUTRAL) | ACCEPTED)
    assert fields - done - set(NEUTRAL) - ACCEPTED == set()
