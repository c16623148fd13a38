"""The server as OpenAI's own client (the openai package) sees it: answers, streams, every error."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import httpx
import pytest

from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.guard import MAX_BODY
from backend.serving.request import ACCEPTED, NEUTRAL, ChatRequest
from backend.serving.service import Service
from tests.backend.openai_clients import connected
from tests.backend.test_serve_process import Talker, listening
from tests.backend.test_serve_tools import TOOLS, Speaker
from tests.failures.conftest import until

openai = pytest.importorskip("openai")  # of the extra "dev"
HELLO: Any = [{"role": "user", "content": "Hello"}]


class Faulty(Speaker):
    """Says its words and raises `fault`, if there is one; has an adapter."""

    has_adapter = True
    fault: Exception | None = None

    def answer(self, request: GenerationRequest, show: Callable[[str], None]) -> Answer:
        answer = super().answer(request, show)
        if self.fault is not None:
            raise self.fault
        return answer


@pytest.fixture
def speaker() -> Faulty:
    return Faulty()


@pytest.fixture
def client(speaker: Faulty) -> Iterator[Any]:
    service = Service("org/tuned", lambda: speaker)
    with connected(service) as made:
        yield made


def error_of(error: Any) -> dict[str, Any]:
    """The whole body of an error: one object, with OpenAI's four keys."""
    body = error.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert error.response.headers["content-type"] == "application/json"
    found: dict[str, Any] = body["error"]
    return found


def test_a_call_in_an_answer_and_in_a_stream(client: Any) -> None:
    asked: Any = {"model": "org/tuned", "messages": HELLO, "tools": TOOLS}
    choice = client.chat.completions.create(**asked).choices[0]
    assert choice.message.content == "I look."
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.message.content == "I look."
    assert final.message.tool_calls is not None
    assert final.message.tool_calls[0].function.arguments == call.function.arguments


def test_the_client_s_own_message_goes_back(client: Any, speaker: Faulty) -> None:
    """As its documentation shows: the message object itself, nulls and all, is sent again."""
    asked: Any = {"model": "org/tuned", "tools": TOOLS}
    message = client.chat.completions.create(messages=HELLO, **asked).choices[0].message
    assert message.tool_calls is not None
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    for turn in (message, message.model_dump()):
        client.chat.completions.create(messages=[*HELLO, turn, result], **asked)
        messages = speaker.asked[-1].messages
        assert messages[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
        assert messages[2]["tool_call_id"] == message.tool_calls[0].id


def test_the_client_s_parsed_message_goes_back(client: Any, speaker: Faulty) -> None:
    """client.chat.completions.parse and .stream of openai 3.57 read the arguments of a strict tool
    and put them beside; LiteLLM, Gemini and streams add fields of their own to a call."""
    strict = [{**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}]
    asked: Any = {"model": "org/tuned", "tools": strict}
    message = client.chat.completions.parse(messages=HELLO, **asked).choices[0].message
    turn = message.model_dump()
    (call,) = turn["tool_calls"]
    assert call["function"]["parsed_arguments"] == {"city": "Paris"}
    assert "parsed" in turn
    more = {"index": 0, "extra_content": {"google": {"thought_signature": "x"}}}
    signed = {**turn, "tool_calls": [{**call, **more, "provider_specific_fields": {"x": None}}]}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
    for each in (message, turn, signed):
        client.chat.completions.create(messages=[*HELLO, each, result], **asked)
        (given,) = speaker.asked[-1].messages[1]["tool_calls"]
        assert given["function"] == {
            "name": call["function"]["name"],
            "arguments": {"city": "Paris"},
        }
        assert set(given) == {"id", "type", "function"}


def test_models(client: Any) -> None:
    """A name may have a slash: /v1/models/{id} takes the rest of the path."""
    assert [model.id for model in client.models.list()] == ["org/tuned", "base"]
    for name in ("org/tuned", "base"):
        model = client.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", "tuneboard")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert error_of(caught.value)["code"] == "model_not_found"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"functions": [{"name": "f", "parameters": {}}]}, "functions", "use_tools"),
    ({"function_call": "auto"}, "function_call", "use_tools"),
    ({"tool_choice": "required"}, "tool_choice", "choice_without_tools"),
    (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice",
        "choice_unknown",
    ),
    ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice", "choice_and_type"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice", "bad_parameter"),
    ({"top_logprobs": 3}, "top_logprobs", "needs_logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
    ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
    ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "schema_and_type"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options", "bad_parameter"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools", "tool_no_function"),
    ({"tools": [TOOLS[0], {"type": "web_search"}]}, "tools", "tool_no_function"),
    ({"tools": [{"type": "code_interpreter", "function": {}}]}, "tools", "tool_no_function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools", "tool_unnamed"),
    ({"tools": [{"type": "function"}]}, "tools", "tool_unnamed"),
    ({"tools": [{"description": "x"}]}, "tools", "tool_unnamed"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "id": "x"}]}]},
        "messages",
        "tool_no_function",
    ),
    ({"extra_body": {"guided_json": {}}}, "guided_json", "unknown_parameter"),
    ({"extra_body": {"ignore_eos": True}}, "ignore_eos", "unknown_parameter"),
    ({"temperature": "warm"}, "temperature", "bad_parameter"),
    (
        {"messages": [{"role": "function", "name": "f", "content": "x"}]},
        "messages",
        "use_role_tool",
    ),
]


@pytest.mark.parametrize(("more", "param", "code"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_done_is_refused_by_name(
    client: Any, more: dict[str, Any], param: str, code: str
) -> None:
    asked: Any = {"model": "base", "messages": HELLO, **more}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked)
    error = error_of(caught.value)
    assert (error["code"], error["type"]) == (code, "invalid_request_error")
    assert error["param"].partition(".")[0] == param
    assert param in error["message"]


# What pydantic's models refuse in the body: each of their fields, and the shapes of its parts.
MALFORMED: dict[str, list[Any]] = {
    "model": [5],
    "messages": [
        *(5, [], ["x"], [{}], [{"role": "robot"}], [{"role": "user", "content": 5}]),
        [{"role": "user", "content": [5]}],
        [{"role": "user", "content": [{"text": "x"}]}],
        [{"role": "assistant", "refusal": []}],
        [{"role": "assistant", "tool_calls": 5}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 5}}]}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}, "index": "x"}]}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
    ],
    "tools": [5, [5], [{}], [{"type": 5}], [{"function": 5}], [{"function": {"name": ""}}]],
    "stream": ["perhaps"],
    "stream_options": [5, {"include_usage": "perhaps"}, {"more": 1}],
    "n": [0, "x"],
    "stop": [5, [5], ["x"] * 17],
    "seed": ["x", 1.5],
    "temperature": [-1, 3, "warm"],
    "top_p": [-0.1, 2],
    "top_k": [-2, 1.5],
    "min_p": [-1, 2],
    "max_tokens": [0, "x"],
    "max_completion_tokens": [0],
    "repetition_penalty": [0, 11],
    "frequency_penalty": [-3, 2.5, "x"],
    "presence_penalty": [-3, 2.5],
    "logit_bias": [5, {"x": 1}, {"5": 101}, {"5": "x"}],
    "logprobs": [5, "perhaps"],
    "top_logprobs": [-1, 21, 1.5],
    "response_format": [5, "json_object", {"type": "yaml"}, {"type": "json_schema"}],
    "tool_choice": [5, "perhaps", {"type": "function", "function": 5}],
    "parallel_tool_calls": [5, "perhaps"],
    "reasoning_effort": [5],
    "chat_template_kwargs": [5, [5]],
}


def test_what_is_malformed_is_refused_in_words_of_ours(client: Any) -> None:
    """pydantic 2 puts "Value error, " before what its own validators say."""
    assert set(MALFORMED) == set(ChatRequest.model_fields)
    url, seen = f"{client.base_url}chat/completions", 0
    for param, values in MALFORMED.items():
        for value in values:
            answer = httpx.post(url, json={"messages": HELLO, param: value})
            error = answer.json()["error"]
            place = error["param"].partition(".")[0]
            assert (answer.status_code, place) == (400, param), (value, error)
            assert not re.search(r"\.(str|list|dict)\b", error["message"]), error
            assert not re.search("(Value|Assertion) (error|failed)", error["message"]), error
            seen += 1
    assert seen > 40


def test_only_functions_can_be_called(client: Any) -> None:
    asked: Any = {"messages": HELLO, "model": "base", "tools": [TOOLS[0], {"type": "web_search"}]}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked)
    assert error_of(caught.value)["message"] == (
        "tools.1 is of the type web_search. Only functions can be called here: send tools of the "
        "type function, or leave it out."
    )


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "picture"),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "sound"),
        ({"type": "video_url", "video_url": {"url": "https://x"}}, "video"),
        ({"type": "file", "file": {"file_id": "x"}}, "file"),
        ({"type": "hologram"}, "hologram"),
    ],
)
def test_a_picture_is_refused_in_words(client: Any, part: Any, word: str) -> None:
    parts = [{"type": "text", "text": "What is this?"}, part]
    asked: Any = [HELLO[0], {"role": "user", "content": parts}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="base", messages=asked)
    error = error_of(caught.value)
    assert error["param"] == "messages.1.content.1"
    assert "messages.1.content.1" in error["message"]
    assert word in error["message"]


def test_every_field_of_openai_s_is_done_accepted_or_refused() -> None:
    """Those of the installed openai package: a new one would be refused as unknown."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase

    fields = set(get_type_hints(CompletionCreateParamsBase)) | {"stream"}
    assert len(fields) > 35
    done = set(ChatRequest.model_fields)
    assert not done & (set(NEUTRAL) | ACCEPTED)
    assert fields - done - set(NEUTRAL) - ACCEPTED == set()


def test_what_only_describes_a_request_is_accepted(client: Any) -> None:
    more: Any = {
        "user": "u",
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prediction": {"type": "content", "content": "x"},
        "logprobs": False,
        "logit_bias": {},
        "frequency_penalty": 0,
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "n": 2,
    }
    answer = client.chat.completions.create(model="base", messages=HELLO, **more)
    assert len(answer.choices) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "unknown_url"),
        ("POST", "/v1/images", 404, "unknown_url"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/base", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
    ],
)
def test_wrong_addresses_and_methods(
    client: Any, method: str, path: str, status: int, code: str
) -> None:
    headers = {"content-type": "application/json"}
    url = str(client.base_url).removesuffix("/v1/") + path
    answer = httpx.request(method, url, headers=headers)
    error = answer.json()["error"]
    assert answer.status_code == status
    assert (error["code"], error["param"]) == (code, None)
    assert error["type"] == "invalid_request_error"
    assert ("allow" in answer.headers) == (status == 405)


def test_a_body_that_is_no_json(client: Any) -> None:
    url = f"{client.base_url}chat/completions"
    for kind, status in (("text/plain", 415), ("application/json", 400)):
        answer = httpx.post(url, content=b"{", headers={"content-type": kind})
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_fault_of_the_engine_is_a_500(client: Any, speaker: Faulty) -> None:
    speaker.fault = ZeroDivisionError("deep inside")
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="base", messages=HELLO)
    assert error_of(caught.value)["type"] == "server_error"


def test_a_fault_in_a_stream_reaches_the_client(client: Any, speaker: Faulty) -> None:
    """The status is sent by then: the client raises for the event that has an error in it."""
    speaker.fault = ZeroDivisionError("deep inside")
    with pytest.raises(openai.APIError) as caught:
        for _ in client.chat.completions.create(model="base", messages=HELLO, stream=True):
            pass
    assert caught.value.code


def test_a_wrong_key_is_a_401_and_too_large_a_body_a_413(speaker: Faulty) -> None:
    service = Service("speaker", lambda: speaker)
    with listening(service, key="right") as address:
        until(lambda: service.state == "ready")
        for key, wrong in (("wrong", openai.AuthenticationError), ("right", openai.APIStatusError)):
            client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
            large: Any = [{"role": "user", "content": "x" * (MAX_BODY + 1)}]
            with pytest.raises(wrong) as caught:
                client.chat.completions.create(model="speaker", messages=large)
            status, code = (401, "invalid_api_key") if key == "wrong" else (413, "body_too_large")
            assert caught.value.status_code == status
            assert error_of(caught.value)["code"] == code


def test_too_many_requests_are_a_429() -> None:
    service = Service("talker", Talker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        service._open = [[] for _ in range(service.limits.waiting)]
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="talker", messages=HELLO)
        assert error_of(caught.value)["type"] == "rate_limit_error"
        service._open = []
