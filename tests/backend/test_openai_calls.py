"""Tool calls in a stream, put together by the openai package: what the whole answer has."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backend.serving.service import Service
from tests.backend.openai_clients import connected
from tests.backend.test_serve_tools import CALL, HELLO, TOOLS, Speaker

PARALLEL = CALL + CALL.removeprefix("I look.").replace("Paris", "Rome")
# Answers that are whole, and how many calls they have.
WHOLE = [
    (CALL, 1),
    (PARALLEL, 2),
    (PARALLEL + " I wait.", 2),
    ('{"name": "weather", "parameters": {"city": "Paris", "days": 12}}', 1),
    ('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]weather[ARGS]{}', 2),
    ("<tool_call><function=weather><parameter=city>Paris</parameter></function></tool_call>", 1),
    ("No call.", 0),
]


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


@pytest.fixture
def client(speaker: Speaker) -> Iterator[Any]:
    with connected(Service("tuned", lambda: speaker)) as made:
        yield made


def answers(client: Any, **more: Any) -> tuple[Any, Any]:
    """The choice of a whole answer, and that which the client makes of a stream, without ids."""
    asked = {"model": "tuned", "messages": HELLO, "tools": TOOLS, **more}
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        joined = stream.current_completion_snapshot
    return shape(whole.choices[0]), shape(joined.choices[0])


def shape(choice: Any) -> Any:
    """What a client reads off a choice."""
    calls = choice.message.tool_calls or []
    assert all(call.id.startswith("call_") or len(call.id) == 9 for call in calls)
    assert len({call.id for call in calls}) == len(calls)
    functions = [(call.type, call.function.name, call.function.arguments) for call in calls]
    return choice.message.content or "", functions, choice.finish_reason


@pytest.mark.parametrize(("words", "count"), WHOLE, ids=range(len(WHOLE)))
def test_a_stream_is_the_whole_answer(
    client: Any, speaker: Speaker, words: str, count: int
) -> None:
    speaker.words = words
    whole, joined = answers(client)
    assert whole == joined
    assert len(whole[1]) == count
    assert whole[2] == ("tool_calls" if count else "stop")


def test_a_call_alone(client: Any, speaker: Speaker) -> None:
    speaker.words = PARALLEL
    whole, joined = answers(client, parallel_tool_calls=False)
    assert (
        whole == joined == ("I look.", [("function", "weather", '{"city": "Paris"}')], "tool_calls")
    )


def test_wherever_an_answer_is_cut_its_arguments_are_json(client: Any, speaker: Speaker) -> None:
    """`length` says that such a call is not to be run."""
    speaker.finish, counts = "length", set()
    for end in range(len("I look.<tool_call>"), len(PARALLEL), 4):
        speaker.words = PARALLEL[:end]
        whole, joined = answers(client)
        assert whole == joined
        assert whole[2] == "length"
        counts.add(len(whole[1]))
        for _, _, arguments in whole[1]:
            assert isinstance(json.loads(arguments), dict)
    assert counts == {0, 1, 2}


def test_a_call_that_breaks_off_is_not_to_be_run(client: Any, speaker: Speaker) -> None:
    speaker.words = '<tool_call>{"name": "weather", "arguments": {"city": "Par'
    whole, joined = answers(client)
    assert whole == joined == ("", [("function", "weather", '{"city": "Par"}')], "stop")


def test_responses_have_the_pieces_too(client: Any, speaker: Speaker) -> None:
    speaker.words = PARALLEL
    tools = [{"type": "function", **TOOLS[0]["function"]}]
    with client.responses.stream(model="tuned", input="Hi", tools=tools) as stream:
        events = list(stream)
        final = stream.get_final_response()
    pieces: dict[str, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
    calls = [item for item in final.output if item.type == "function_call"]
    assert {call.id: call.arguments for call in calls} == pieces
    assert list(pieces.values()) == ['{"city": "Paris"}', '{"city": "Rome"}']
    assert len([e for e in events if e.type == "response.function_call_arguments.delta"]) > 6
