"""Answers through the real engine and over HTTP: a model is made to say what a template writes.

The marks of calls and thoughts are special tokens in most vocabularies, which a server leaves out
of an answer; here they have to reach who reads it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from backend.contract.arguments.typed import Arguments
from backend.data import templates
from backend.model.generation import Sampling
from backend.serving.app import build
from backend.serving.engine import Engine
from backend.serving.generation_request import GenerationRequest
from backend.serving.service import Service
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_tool_templates import END, NEVER, QUESTION, TOOLS, read_shipped

URL = "/v1/chat/completions"
CALL = [("set_alarm", {"label": 'Tea, "strong"\n', "hour": 7})]
# template: (its special tokens, the end of an answer, the answer)
SAID = {
    "gemma4": (
        ["<|turn>", "<turn|>", "<|tool_call>", "<tool_call|>", '<|"|>', "<|channel>", "<channel|>"],
        "<|tool_response>",
        '<|channel>thought\nTea.\n<channel|><|tool_call>call:set_alarm{label:<|"|>Tea, "strong"\n'
        '<|"|>,hour:7}<tool_call|>I look.',
    ),
    "gptoss": (
        ["<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>"],
        "<|call|>",
        "<|channel|>analysis<|message|>Tea.<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.set_alarm "
        '<|constrain|>json<|message|>{"label": "Tea, \\"strong\\"\\n", "hour": 7}',
    ),
    "deepseekv3": (
        [
            "<｜User｜>",
            "<｜Assistant｜>",
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁call▁begin｜>",
            "<｜tool▁sep｜>",
            "<｜tool▁call▁end｜>",
            "<｜tool▁calls▁end｜>",
        ],
        "<｜end▁of▁sentence｜>",
        "Tea.\n</think>\n\nI look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>"
        'set_alarm\n```json\n{"label": "Tea, \\"strong\\"\\n", "hour": 7}\n```'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    "lfm2_2_5": (
        ["<|tool_call_start|>", "<|tool_call_end|>"],
        "<|im_end|>",
        "<think>Tea.</think>I look.<|tool_call_start|>"
        "[set_alarm(label='Tea, \"strong\"\n', hour=7)]<|tool_call_end|>",
    ),
    "qwen3_5_think": (
        ["<think>", "</think>", "<tool_call>", "</tool_call>"],
        "<|im_end|>",
        "Tea.\n</think>\n\nI look.\n\n<tool_call>\n<function=set_alarm>\n<parameter=label>\n"
        'Tea, "strong"\n\n</parameter>\n<parameter=hour>\n7\n</parameter>\n</function>\n'
        "</tool_call>",
    ),
}


class Replayer:
    """In place of a model: draws the tokens of a script, whatever the prompt."""

    device = torch.device("cpu")
    generation_config = SimpleNamespace(eos_token_id=None)
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(max_position_embeddings=4096))

    def __init__(self, script: list[int]) -> None:
        self.script = script

    def generate(self, input_ids: torch.Tensor, stopping_criteria: Any, **_: Any) -> None:
        for token in self.script:
            input_ids = torch.cat([input_ids, torch.tensor([[token]])], dim=1)
            if stopping_criteria(input_ids, None).all():
                return


@contextmanager
def speaking(template: str, special: list[str], end: str, text: str) -> Iterator[TestClient]:
    """A server whose model says this text and its end, with a tokenizer of this template."""
    tokenizer = make_tokenizer(*special, template=template, eos=end)
    tokenizer.bos_token = "<|endoftext|>"  # some templates write it unasked
    loaded = templates.load(Arguments(), tokenizer)
    script = tokenizer(text + end, add_special_tokens=False)["input_ids"]
    engine = Engine(Replayer(script), tokenizer, loaded)
    service = Service("replayer", lambda: engine)
    app = build(service, Sampling(), host="127.0.0.1", key=None)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        while client.get("/health").json()["status"] != "ready":
            pass
        yield client


def whole(client: TestClient, **more: Any) -> tuple[Any, str]:
    """The message of an answer and why it ended."""
    answer = client.post(URL, json={"messages": QUESTION, **more})
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    return choice["message"], choice["finish_reason"]


def add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put the texts of a delta behind those that came before."""
    for name, value in delta.items():
        message[name] = message[name] + value if name in message else value


def streamed(client: TestClient, **more: Any) -> tuple[Any, str]:
    """The same, put together from a stream; calls come in pieces, each with its index."""
    text = client.post(URL, json={"messages": QUESTION, "stream": True, **more}).text
    events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    message: dict[str, Any] = {}
    functions: dict[int, dict[str, str]] = {}
    for delta in (event["choices"][0]["delta"] for event in events):
        for piece in delta.pop("tool_calls", []):
            add(functions.setdefault(piece["index"], {}), piece["function"])
        add(message, delta)
    if functions:
        message["tool_calls"] = [{"function": functions[index]} for index in sorted(functions)]
    return message, events[-1]["choices"][0]["finish_reason"]


@pytest.mark.parametrize("name", SAID)
def test_marks_reach_the_reader_though_they_are_special(name: str) -> None:
    special, end, text = SAID[name]
    known = make_tokenizer(*special, end).added_tokens_decoder.values()
    assert {str(token) for token in known if token.special} >= {*special, end}
    with speaking(read_shipped()[name], special, end, text) as client:
        for ask in (whole, streamed):
            message, finish = ask(client, tools=TOOLS)
            assert finish == "tool_calls"
            functions = [call["function"] for call in message["tool_calls"]]
            assert [
                (function["name"], json.loads(function["arguments"])) for function in functions
            ] == CALL
            assert (message["reasoning_content"], message["content"]) == ("Tea.", "I look.")


@pytest.mark.parametrize("name", SAID)
def test_without_tools_special_tokens_are_left_out_and_the_thought_is_apart(name: str) -> None:
    special, end, content = SAID[name]
    text = content.partition("<|tool_call")[0].partition("<tool_call>")[0].partition("<｜tool")[0]
    if name == "gptoss":  # its call is a message of its own
        text = content.partition("<|start|>assistant<|channel|>commentary to=")[0]
    content = text if "I look." in text else text + "I look."
    with speaking(read_shipped()[name], special, end, content) as client:
        for ask in (whole, streamed):
            message, finish = ask(client)
            assert (message["reasoning_content"], message["content"].strip()) == ("Tea.", "I look.")
            assert finish == "stop"
            assert "tool_calls" not in message


def test_a_template_that_knows_no_thoughts_leaves_the_text_as_it_is() -> None:
    content = "<think>Tea.</think>\n\nI look."
    with speaking(CHATML, ["<think>", "</think>"], "<|im_end|>", content) as client:
        for ask in (whole, streamed):
            message, _ = ask(client)
            assert message == {"role": "assistant", "content": "Tea.\n\nI look."}
    with speaking(CHATML, [], "<|im_end|>", content) as client:
        assert whole(client)[0] == {"role": "assistant", "content": content}


def test_a_thought_without_end_is_a_thought() -> None:
    """The answer was cut: nothing of it is shown as what the model says."""
    with speaking(read_shipped()["qwen3"], [], "<|im_end|>", "<think>\nTea. And") as client:
        for ask in (whole, streamed):
            message, _ = ask(client, max_tokens=9)
            assert message["reasoning_content"].startswith("Tea.")
            assert not message["content"]


def test_an_answer_of_gpt_oss_without_headers_is_a_text() -> None:
    special, end, _ = SAID["gptoss"]
    with speaking(read_shipped()["gptoss"], special, end, "At seven.<|end|>Tea.") as client:
        assert whole(client, tools=TOOLS)[0]["content"] == "At seven.\nTea."


def prompt_tokens(client: TestClient, **more: Any) -> int:
    """How many tokens the prompt of a request has."""
    answer = client.post(URL, json={"messages": QUESTION, **more})
    assert answer.status_code == 200, answer.text
    count: int = answer.json()["usage"]["prompt_tokens"]
    return count


OFF, ON = {"enable_thinking": False}, {"enable_thinking": True}


@pytest.mark.parametrize(
    ("name", "asked", "given", "changes"),
    [
        ("qwen3", {"chat_template_kwargs": OFF}, OFF, True),
        ("qwen3", {"chat_template_kwargs": ON}, ON, False),
        ("qwen3", {"chat_template_kwargs": {"thinking": False}}, OFF, True),
        ("qwen3", {"chat_template_kwargs": {**OFF, "thinking": False}}, OFF, True),
        ("gptoss", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}, True),
        (
            "gptoss",
            {"chat_template_kwargs": {"model_identity": "X"}},
            {"model_identity": "X"},
            True,
        ),
        ("qwen2_5", {"chat_template_kwargs": OFF}, {}, False),
    ],
)
def test_what_a_request_gives_the_template_reaches_it(
    name: str, asked: dict[str, Any], given: dict[str, Any], changes: bool
) -> None:
    """The prompt is transformers' own with the same variables."""
    special, end = (SAID[name][0], SAID[name][1]) if name in SAID else ([], "<|im_end|>")
    tokenizer = make_tokenizer(*special, template=read_shipped()[name], eos=end)

    def tokens(**variables: Any) -> int:
        ids = tokenizer.apply_chat_template(
            QUESTION, add_generation_prompt=True, return_dict=False, **variables
        )
        return len(ids)

    with speaking(read_shipped()[name], special, end, "Yes.") as client:
        assert prompt_tokens(client, **asked) == tokens(**given)
        assert prompt_tokens(client) == tokens()
    assert (tokens() != tokens(**given)) is changes


@pytest.mark.parametrize(
    ("asked", "param", "word"),
    [
        (
            {"chat_template_kwargs": {"enable_thinkin": True}},
            "chat_template_kwargs",
            "enable_thinking",
        ),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs", "messages"),
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs", "tools"),
        ({"chat_template_kwargs": {"add_generation_prompt": False}}, "chat_template_kwargs", "add"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs", "chat_template"),
        ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs", "tokenize"),
        ({"chat_template_kwargs": {"bos_token": "x"}}, "chat_template_kwargs", "bos_token"),
        ({"chat_template_kwargs": {"raise_exception": 1}}, "chat_template_kwargs", "raise"),
        ({"chat_template_kwargs": [1]}, "chat_template_kwargs", "chat_template_kwargs"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "reasoning_effort"),
        *[
            ({"chat_template_kwargs": {"enable_thinking": value}}, "chat_template_kwargs", "quotes")
            for value in ("false", "true", "False", "", 0, 1, [], {})
        ],
        ({"chat_template_kwargs": {"thinking": "false"}}, "chat_template_kwargs", "quotes"),
        ({"chat_template_kwargs": {**ON, "thinking": False}}, "chat_template_kwargs", "the same"),
        ({"chat_template_kwargs": {**OFF, "thinking": True}}, "chat_template_kwargs", "the same"),
        ({"enable_thinking": False}, "enable_thinking", "chat_template_kwargs"),
        ({"thinking": {"type": "enabled"}}, "thinking", "chat_template_kwargs"),
        ({"messages": [{**QUESTION[0], "mood": "good"}]}, "messages", "mood"),
        ({"messages": [{**QUESTION[0], "prefix": True}]}, "messages", "prefix"),
    ],
)
def test_what_the_template_does_not_read_is_refused(
    asked: dict[str, Any], param: str, word: str
) -> None:
    with speaking(read_shipped()["qwen3"], [], "<|im_end|>", "Yes.") as client:
        for stream in (False, True):
            answer = client.post(URL, json={"messages": QUESTION, "stream": stream, **asked})
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert error["param"].partition(".")[0] == param
            assert word in error["message"]


def test_a_switch_is_true_or_false_under_each_template_that_has_it() -> None:
    """A text is true to a template: "false" switched thinking on."""
    switches = {
        "preserve_thinking": "qwen3_6",
        "truncate_history_thinking": "nemotron_3_nano",
        "low_effort": "nemotron_3_super",
        "add_vision_id": "qwen3_vl",
        "tools_in_user_message": "llama3_1",
    }
    for name, template in switches.items():
        with speaking(read_shipped()[template], [], "<|im_end|>", "Yes.") as client:
            for value, status in (("false", 400), (0, 400), (False, 200), (True, 200), (None, 200)):
                asked = {"messages": QUESTION, "chat_template_kwargs": {name: value}}
                answer = client.post(URL, json=asked)
                assert answer.status_code == status, (name, value, answer.text)


CALLED = {"id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    *QUESTION,
    {"role": "assistant", "content": "I look.", "tool_calls": [CALLED]},
    {"role": "tool", "content": "noon", "tool_call_id": "a"},
]


def test_results_are_in_the_order_of_their_calls() -> None:
    """Clients that call tools at once send the results as they come: under a template that does not
    write ids the model took one for the other. A result that names no call stays in its place."""

    def prompts(jinja: str, *results: dict[str, Any]) -> list[str]:
        tokenizer = make_tokenizer(template=jinja)
        template = templates.load(Arguments(), tokenizer)
        calls = [{**CALLED, "id": name} for name in "abc"]
        talk = [*TALK[:2], {"role": "assistant", "content": "", "tool_calls": calls}]
        talk += [{"role": "tool", **each} for each in results]
        engine = Engine(Replayer([]), tokenizer, template)
        text = tokenizer.decode(
            engine.prompt(GenerationRequest(messages=talk, sampling=Sampling()))
        )
        return sorted((each["content"] for each in results), key=text.index)

    swapped = [{"content": f"result {name}", "tool_call_id": name} for name in "cab"]
    assert prompts(read_shipped()["qwen3"], *swapped) == ["result a", "result b", "result c"]
    assert prompts(read_shipped()["gemma4"], *swapped) == [
        "result c",
        "result a",
        "result b",
    ]  # reads
    unnamed = [swapped[0], {"content": "nameless"}, swapped[1]]
    assert prompts(read_shipped()["qwen3"], *unnamed) == ["result c", "nameless", "result a"]


def test_a_name_that_the_template_reads_is_taken() -> None:
    reading = CHATML.replace("{{ '<|im_start|>' +", "{{ message.name }}{{ '<|im_start|>' +")
    with speaking(reading, [], "<|im_end|>", "Yes.") as client:
        named = [{**QUESTION[0], "name": "Rosalind"}]
        assert prompt_tokens(client, messages=named) > prompt_tokens(client, messages=QUESTION)


def test_thinking_cannot_be_switched_on_where_there_is_none() -> None:
    with speaking(read_shipped()["qwen2_5"], [], "<|im_end|>", "Yes.") as client:
        asked = {"messages": QUESTION, "chat_template_kwargs": {"enable_thinking": True}}
        assert client.post(URL, json=asked).status_code == 400
        answer = client.post(URL, json={"messages": QUESTION, "reasoning_effort": "low"})
        assert answer.json()["error"]["message"].startswith("reasoning_effort has no effect")
        assert "reads no variables" in answer.json()["error"]["message"]


def test_the_result_of_a_call_goes_on_under_every_template() -> None:
    """The second round of a client that calls tools: its call and the result are in the prompt."""
    call = {"name": "get_time", "arguments": '{"at": "Rome"}'}
    calls = [{"id": "abcdefgh1", "type": "function", "function": call}]
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "abcdefgh1", "content": "Half past six"},
    ]
    count = 0
    for name, template in sorted(read_shipped().items()):
        if name in NEVER:
            continue
        with speaking(template, [], "<|im_end|>", "Yes.") as client:
            asked = prompt_tokens(client, tools=TOOLS)
            assert prompt_tokens(client, tools=TOOLS, messages=messages) > asked + 5, name
        count += 1
    assert count > 70


def test_the_answer_s_end_is_none_of_its_text() -> None:
    for name, (_, end, _) in SAID.items():
        assert END.search(end), name
