"""The server over HTTP, with a tiny random model and an adapter on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.model.generation import Sampling
from backend.serving.app import build
from backend.serving.engine import Engine
from backend.serving.guard import MAX_BODY
from backend.serving.service import Service

KEY = "sk-test-ключ"
AUTH = {"Authorization": f"Bearer {KEY}".encode()}
URL = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Who are you?"}]


@pytest.fixture(scope="module")
def adapter_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the tiny model that changes its answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("adapters") / "tuned"
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    config = LoraConfig(
        r=4,
        lora_alpha=64,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def values_for(model: Path, **more: object) -> dict[str, Any]:
    """Arguments of `tuneboard api` for a model folder."""
    values, problems = arguments.parse({"model_name_or_path": str(model), **more}, "api")
    assert not problems
    return dict(values)


def serve(values: dict[str, Any], **options: Any) -> TestClient:
    """A client of an app whose model is that of the arguments."""
    service = Service(options.pop("name", "tuned"), lambda: Engine.load(resolve(values)))
    settings = {"host": "127.0.0.1", "key": KEY, **options}
    app = build(service, Sampling.of(resolve(values)), **settings)
    return TestClient(app, base_url="http://127.0.0.1:8000", headers=AUTH)


@pytest.fixture(scope="module")
def client(tiny_model_dir: Path, adapter_dir: Path) -> Iterator[TestClient]:
    """A loaded server with base and adapter; answers have 24 tokens by default."""
    values = values_for(tiny_model_dir, adapter_name_or_path=str(adapter_dir), max_new_tokens=24)
    with serve(values) as made:
        wait_ready(made)
        yield made


def wait_ready(client: TestClient) -> None:
    """Until the model is loaded; a failure shows its problem."""
    import time

    end = time.monotonic() + 60
    while (health := client.get("/health").json())["status"] == "loading":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert health["status"] == "ready", health


def ask(client: TestClient, **more: Any) -> dict[str, Any]:
    """A completion's body."""
    answer = client.post(URL, json={"messages": HELLO, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def text_of(body: dict[str, Any], index: int = 0) -> str:
    """What a choice says."""
    text: str = body["choices"][index]["message"]["content"]
    return text


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream, which must end with [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def error_of(answer: Any) -> dict[str, Any]:
    """OpenAI's error object in an answer."""
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def test_models_are_the_tuned_one_and_its_base(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert [row["id"] for row in body["data"]] == ["tuned", "base"]
    assert client.get("/health").json() == {
        "status": "ready",
        "model": "tuned",
        "problem": None,
        "detail": "",
        "notices": [],
    }


def test_completion_has_text_usage_and_reason(client: TestClient) -> None:
    body = ask(client, max_tokens=5, temperature=0)
    assert body["object"] == "chat.completion"
    assert body["model"] == "tuned"
    choice = body["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    counts = body["usage"]
    assert counts["completion_tokens"] == 5
    assert counts["total_tokens"] == counts["prompt_tokens"] + 5


def test_prompt_tokens_are_those_of_the_template(client: TestClient, tiny_tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    ids = tiny_tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    body = ask(client, messages=messages, max_tokens=1)
    assert body["usage"]["prompt_tokens"] == len(ids)
    parts = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *HELLO]
    assert ask(client, messages=parts, max_tokens=1)["usage"]["prompt_tokens"] == len(ids)


def test_base_and_tuned_answer_differently_from_one_process(client: TestClient) -> None:
    asked = {"temperature": 0, "max_tokens": 16}
    tuned, base = ask(client, model="tuned", **asked), ask(client, model="base", **asked)
    assert text_of(tuned) != text_of(base)
    assert text_of(ask(client, **asked)) == text_of(tuned), "the adapter is on again after base"


def test_base_is_the_model_without_adapter(client: TestClient, tiny_model_dir: Path) -> None:
    asked = {"temperature": 0, "max_tokens": 16}
    with serve(values_for(tiny_model_dir), name="plain") as plain:
        wait_ready(plain)
        assert [row["id"] for row in plain.get("/v1/models").json()["data"]] == ["plain"]
        assert text_of(ask(plain, **asked)) == text_of(ask(client, model="base", **asked))


def test_seed_makes_an_answer_again(client: TestClient) -> None:
    asked = {"temperature": 1.5, "top_p": 1, "top_k": 0}
    first = text_of(ask(client, seed=7, **asked))
    assert text_of(ask(client, seed=7, **asked)) == first
    assert text_of(ask(client, seed=8, **asked)) != first
    assert text_of(ask(client, **asked)) != text_of(ask(client, **asked)), "no seed: it varies"


def test_the_ways_to_ask_for_the_likeliest_answer(client: TestClient) -> None:
    greedy = text_of(ask(client, temperature=0))
    assert text_of(ask(client, temperature=0, seed=3)) == greedy
    assert text_of(ask(client, temperature=1, top_k=1)) == greedy
    assert text_of(ask(client, temperature=1, top_p=1e-6)) == greedy
    assert text_of(ask(client, temperature=2, top_p=0)) == greedy
    assert text_of(ask(client, temperature=2, top_p=1, top_k=0, min_p=1)) == greedy


@pytest.mark.parametrize("count", [1, 3])
def test_stream_equals_the_whole(client: TestClient, count: int) -> None:
    asked = {"seed": 5, "temperature": 1.2, "n": count, "max_tokens": 20}
    whole = ask(client, **asked)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    answer = client.post(URL, json={"messages": HELLO, **asked, **options})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == whole["usage"]
    for index in range(count):
        own = [c for event in events for c in event["choices"] if c["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(c["delta"].get("content", "") for c in own) == text_of(whole, index)
        assert own[-1]["finish_reason"] == whole["choices"][index]["finish_reason"]
    assert len({event["id"] for event in events}) == 1
    if count > 1:
        assert len({text_of(whole, index) for index in range(count)}) == count


def test_stream_without_options_tells_no_usage(client: TestClient) -> None:
    answer = client.post(URL, json={"messages": HELLO, "stream": True, "max_tokens": 3})
    assert all("usage" not in event for event in events_of(answer.text))


def test_stop_text_ends_the_answer_and_is_not_shown(client: TestClient) -> None:
    whole = ask(client, temperature=0)
    text = text_of(whole)
    stop = text[4:7]
    for stops in (stop, ["never to be seen", stop]):
        body = ask(client, temperature=0, stop=stops)
        assert text_of(body) == text[: text.index(stop)]
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]
        answer = client.post(
            URL, json={"messages": HELLO, "temperature": 0, "stop": stops, "stream": True}
        )
        deltas = [event["choices"][0]["delta"] for event in events_of(answer.text)]
        assert "".join(delta.get("content", "") for delta in deltas) == text[: text.index(stop)]


def test_max_completion_tokens_is_the_newer_name(client: TestClient) -> None:
    assert ask(client, max_completion_tokens=3, max_tokens=9)["usage"]["completion_tokens"] == 3


def test_max_tokens_is_cut_to_the_context(client: TestClient) -> None:
    long = [{"role": "user", "content": "hello " * 450}]
    body = ask(client, messages=long, max_tokens=10**9, temperature=2, top_p=1, top_k=0, seed=1)
    assert body["usage"]["total_tokens"] <= 2048


def test_a_prompt_beyond_the_context_is_refused(client: TestClient) -> None:
    long = [{"role": "user", "content": "hello " * 4000}]
    for stream in (False, True):
        answer = client.post(URL, json={"messages": long, "stream": stream})
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "prompt_too_long"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"min_p": 2}, "min_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ],
)
def test_a_bad_request_names_its_parameter(
    client: TestClient, body: dict[str, Any], param: str
) -> None:
    content = json.dumps({"messages": HELLO, **body})
    answer = client.post(URL, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert error_of(answer)["param"].partition(".")[0] == param


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({"messages": HELLO, "temperature": float("nan")}),
        json.dumps({"messages": [{"role": "user", "content": "\ud800"}]}),
    ],
)
def test_a_bad_body_is_refused(client: TestClient, content: str) -> None:
    answer = client.post(URL, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error_of(answer)


def test_an_unknown_model_is_404(client: TestClient) -> None:
    answer = client.post(URL, json={"messages": HELLO, "model": "gpt-x"})
    assert answer.status_code == 404
    assert "tuned, base" in error_of(answer)["message"]
    assert error_of(client.get("/nowhere"))["type"] == "invalid_request_error"


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "x", "Bearer", KEY.upper()])
def test_a_wrong_key_is_401(client: TestClient, key: str) -> None:
    for path in ("/v1/models", URL, "/nowhere"):
        for header in (f"Bearer {key}".encode(), f"Basic {KEY}".encode(), KEY.encode()):
            answer = client.request("GET", path, headers={"Authorization": header})
            assert answer.status_code == 401
            assert error_of(answer)["type"] == "authentication_error"
    assert client.get("/health", headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("LOCALHOST:9", True),
        ("[::1]:8000", True),
        ("evil.com", False),
        ("127.0.0.1.nip.io", False),
        ("localhost.evil.com:8000", False),
        ("localhost.", False),
        ("a@localhost", False),
        ("localhost:8000@evil.com", False),
        ("evil.com/localhost", False),
        ("", False),
    ],
)
def test_the_host_header_must_name_this_machine(
    client: TestClient, host: str, allowed: bool
) -> None:
    for path in ("/health", "/v1/models"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == (200 if allowed else 403), path
        assert allowed or error_of(answer)["code"] == "bad_host"


def test_bound_to_every_address_any_host_may_ask_with_the_key(tiny_model_dir: Path) -> None:
    with serve(values_for(tiny_model_dir), host="0.0.0.0") as open_client:
        wait_ready(open_client)
        assert open_client.get("/v1/models", headers={"Host": "my.host"}).status_code == 200
        answer = open_client.get("/v1/models", headers={"Host": "my.host", "Authorization": ""})
        assert answer.status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken(client: TestClient, kind: str) -> None:
    content = json.dumps({"messages": HELLO})
    answer = client.post(URL, content=content, headers={"content-type": kind})
    assert answer.status_code == 415


def test_a_large_body_is_refused_declared_or_not(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    whole = client.post(URL, content=b" " * (MAX_BODY + 1), headers=headers)
    assert whole.status_code == 413
    pieces = (b" " * 1024 * 1024 for _ in range(11))
    assert client.post(URL, content=pieces, headers=headers).status_code == 413


def test_tools_reach_the_template(tiny_model_dir: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import AutoTokenizer

    folder = tmp_path / "tools"
    shutil.copytree(tiny_model_dir, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% for tool in tools or [] %}{{ tool.function.name }} {% endfor %}"
        "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
        "{{ c.function.name }}={{ c.function.arguments.city }}{% endfor %}"
        "{% if m.role == 'assistant' %}<|im_end|>{% endif %}{% endfor %}"
    )
    tokenizer.save_pretrained(folder)
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "w", "arguments": '{"city": "Rome"}'},
    }
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    with serve(values_for(folder)) as made:
        wait_ready(made)
        body = ask(made, messages=messages, tools=tools, max_tokens=1)
        expected = tokenizer.encode(
            "weather Who are you?w=Rome<|im_end|>", add_special_tokens=False
        )
        assert body["usage"]["prompt_tokens"] == len(expected)
        call["function"]["arguments"] = "{"
        answer = made.post(URL, json={"messages": messages})
        assert error_of(answer)["code"] == "bad_tool_arguments"


def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with serve(values_for(tmp_path / "nowhere")) as made:
        with pytest.raises(AssertionError, match="failed"):
            wait_ready(made)
        health = made.get("/health").json()
        assert health["problem"]["code"] == "model_missing"
        assert "nowhere" in health["detail"]
        answer = made.post(URL, json={"messages": HELLO})
        assert answer.status_code == 503
        assert error_of(answer)["code"] == "model_failed"
