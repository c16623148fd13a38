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

from backend.data import templates
from backend.generation import Sampling
from backend.serving.app import build
from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_tool_templates import END, QUESTION, TOOLS, shipped

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
    loaded = templates.load({}, tokenizer)
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


def streamed(client: TestClient, **more: Any) -> tuple[Any, str]:
    """The same, put together from a stream."""
    text = client.post(URL, json={"messages": QUESTION, "stream": True, **more}).text
    events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    message: dict[str, Any] = {}
    for delta in (event["choices"][0]["delta"] for event in events):
        for name, value in delta.items():
            message[name] = message[name] + value if name in message else value
    return message, events[-1]["choices"][0]["finish_reason"]


@pytest.mark.parametrize("name", SAID)
def test_marks_reach_the_reader_though_they_are_special(name: str) -> None:
    special, end, text = SAID[name]
    known = make_tokenizer(*special, end).added_tokens_decoder.values()
    assert {str(token) for token in known if token.special} >= {*special, end}
    with speaking(shipped()[name], special, end, text) as client:
        for ask in (whole, streamed):
            message, finish = ask(client, tools=TOOLS)
            assert finish == "tool_calls"
            functions = [call["function"] for call in message["tool_calls"]]
            assert [(one["name"], json.loads(one["arguments"])) for one in functions] == CALL
            assert (message["reasoning_content"], message["content"]) == ("Tea.", "I look.")


@pytest.mark.parametrize("name", SAID)
def test_without_tools_special_tokens_are_left_out_and_the_thought_is_apart(name: str) -> None:
    special, end, said = SAID[name]
    text = said.partition("<|tool_call")[0].partition("<tool_call>")[0].partition("<｜tool")[0]
    if name == "gptoss":  # its call is a message of its own
        text = said.partition("<|start|>assistant<|channel|>commentary to=")[0]
    said = text if "I look." in text else text + "I look."
    with speaking(shipped()[name], special, end, said) as client:
        for ask in (whole, streamed):
            message, finish = ask(client)
            assert (message["reasoning_content"], message["content"].strip()) == ("Tea.", "I look.")
            assert finish == "stop"
            assert "tool_calls" not in message


def test_a_template_that_knows_no_thoughts_leaves_the_text_as_it_is() -> None:
    said = "<think>Tea.</think>\n\nI look."
    with speaking(CHATML, ["<think>", "</think>"], "<|im_end|>", said) as client:
        for ask in (whole, streamed):
            message, _ = ask(client)
            assert message == {"role": "assistant", "content": "Tea.\n\nI look."}
    with speaking(CHATML, [], "<|im_end|>", said) as client:
        assert whole(client)[0] == {"role": "assistant", "content": said}


def test_a_thought_without_end_is_a_thought() -> None:
    """The answer was cut: nothing of it is shown as what the model says."""
    with speaking(shipped()["qwen3"], [], "<|im_end|>", "<think>\nTea. And") as client:
        for ask in (whole, streamed):
            message, _ = ask(client, max_tokens=9)
            assert message["reasoning_content"].startswith("Tea.")
            assert not message["content"]


def test_an_answer_of_gpt_oss_without_headers_is_a_text() -> None:
    special, end, _ = SAID["gptoss"]
    with speaking(shipped()["gptoss"], special, end, "At seven.<|end|>Tea.") as client:
        assert whole(client, tools=TOOLS)[0]["content"] == "At seven.\nTea."


def test_the_answer_s_end_is_none_of_its_text() -> None:
    for name, (_, end, _) in SAID.items():
        assert END.search(end), name
