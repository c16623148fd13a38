"""Sampling and log-probabilities over HTTP, by OpenAI's own client and a model that is loaded."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend.conftest import make_teacher
from tests.backend.openai_clients import connected
from tests.backend.test_serve_process import api_values

openai = pytest.importorskip("openai")  # of the extra "dev"
HELLO: Any = [{"role": "user", "content": "Who are you? 你好"}]


@pytest.fixture(scope="module")
def folder(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with sharp opinions."""
    return make_teacher(tiny_model_dir, tmp_path_factory.mktemp("models") / "sharp")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Any]:
    values = api_values(model_name_or_path=str(folder))
    service = Service("tiny", lambda: Engine.load(values))
    with connected(service) as made:
        yield made


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def prompt(folder: Path) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered: Any = tokenizer.apply_chat_template(HELLO, add_generation_prompt=True)
    ids: list[int] = rendered["input_ids"]
    return ids


def ask(client: Any, **more: Any) -> Any:
    asked = {"model": "tiny", "messages": HELLO, "temperature": 0, "max_tokens": 12, **more}
    return client.chat.completions.create(**asked)


def greedy(model: Any, prompt: list[int], count: int, change: Any = None) -> list[int]:
    """The greedy answer by a plain loop; `change(scores, answer)` changes the scores in place."""
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0, -1].float().clone()
        if change is not None:
            change(scores, ids[len(prompt) :])
        ids.append(int(scores.argmax()))
        if ids[-1] == model.config.eos_token_id:
            break
    return ids[len(prompt) :]


def test_log_probabilities_are_those_of_the_model(
    client: Any, model: Any, prompt: list[int], folder: Path
) -> None:
    """Of every token in the answer, before any penalty and at temperature 1."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    choice = ask(client, logprobs=True, top_logprobs=5, frequency_penalty=0.2).choices[0]

    def penalty(scores: torch.Tensor, answer: list[int]) -> None:
        for token in set(answer):
            scores[token] -= 0.2 * answer.count(token)

    ids = greedy(model, prompt, 12, penalty)
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
    expected = logits.float().log_softmax(-1)
    content = choice.logprobs.content
    assert len(content) == len(ids) > 8
    for place, (each, token) in enumerate(zip(content, ids, strict=True)):
        assert each.logprob == pytest.approx(float(expected[place, token]), abs=1e-4)
        values = expected[place].topk(5).values.tolist()
        assert [other.logprob for other in each.top_logprobs] == pytest.approx(values, abs=1e-4)
    raw = b"".join(bytes(each.bytes) for each in content)
    assert raw.decode(errors="replace") == choice.message.content == tokenizer.decode(ids)


def test_a_stream_tells_the_same_log_probabilities(client: Any) -> None:
    more: Any = {"logprobs": True, "top_logprobs": 2, "temperature": 1.0, "seed": 5}
    whole = ask(client, **more).choices[0]
    text, tokens = "", []
    for chunk in ask(client, stream=True, **more):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.logprobs:
                tokens += choice.logprobs.content
    assert text == whole.message.content
    assert tokens == whole.logprobs.content


def test_no_log_probabilities_where_nobody_asks(client: Any) -> None:
    assert ask(client).choices[0].logprobs is None
    assert all(chunk.choices[0].logprobs is None for chunk in ask(client, stream=True))


def test_tokens_of_a_stop_text_have_no_log_probability(client: Any) -> None:
    whole = ask(client, logprobs=True).choices[0]
    stop = whole.message.content[4:7]
    cut = ask(client, logprobs=True, stop=stop).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole.message.content.partition(stop)[0]
    tokens = [bytes(each.bytes) for each in cut.logprobs.content]
    assert 0 < len(tokens) < len(whole.logprobs.content)
    assert b"".join(tokens).decode(errors="replace").startswith(cut.message.content)
    before = b"".join(tokens[:-1]).decode(errors="replace")
    assert len(before) <= len(cut.message.content), "the last one is of what is shown, too"


def test_a_bias_forces_and_forbids_tokens(client: Any, model: Any, prompt: list[int]) -> None:
    forced = ask(client, logprobs=True, logit_bias={"40": 100}).choices[0]
    assert len({each.token for each in forced.logprobs.content}) == 1
    first = greedy(model, prompt, 1)[0]
    plain = ask(client, logprobs=True).choices[0].logprobs.content
    other = ask(client, logprobs=True, logit_bias={str(first): -100}).choices[0].logprobs.content
    assert plain[0].token not in {each.token for each in other}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, logit_bias={"999999": 1})
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize(("frequency", "presence"), [(1.0, 0.0), (0.0, 1.5), (-0.5, 0.7)])
def test_penalties_follow_openai_s_formula(
    client: Any, model: Any, prompt: list[int], folder: Path, frequency: float, presence: float
) -> None:
    def penalty(scores: torch.Tensor, answer: list[int]) -> None:
        for token in set(answer):
            scores[token] -= frequency * answer.count(token) + presence

    ids = greedy(model, prompt, 12, penalty)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answer = ask(client, frequency_penalty=frequency, presence_penalty=presence)
    assert answer.choices[0].message.content == tokenizer.decode(ids, skip_special_tokens=True)


def test_each_request_of_a_crowd_is_answered_as_if_alone(client: Any) -> None:
    """Seeds, penalties, biases, stops and choices of requests that share the batch."""
    rows: list[dict[str, Any]] = [
        {"temperature": 1.2, "seed": 3},
        {"temperature": 1.2, "seed": 4, "frequency_penalty": 2},
        {"temperature": 1.2, "seed": 3, "n": 3, "logprobs": True, "top_logprobs": 1},
        {"presence_penalty": 2, "logit_bias": {"40": 3}},
        {"stop": ["e", "a"]},
        {"temperature": 1.2, "seed": 9, "top_p": 0.5, "max_tokens": 5},
        {"logprobs": True},
        {"temperature": 0.7, "seed": 11, "extra_body": {"min_p": 0.1, "repetition_penalty": 1.3}},
    ]

    def answer_of(row: dict[str, Any]) -> list[Any]:
        return [
            (
                choice.message.content,
                choice.finish_reason,
                [each.token for each in choice.logprobs.content] if choice.logprobs else None,
            )
            for choice in ask(client, **row).choices
        ]

    alone = [answer_of(row) for row in rows]
    with ThreadPoolExecutor(len(rows)) as pool:
        together = list(pool.map(answer_of, rows))
    assert together == alone
    assert alone[2][0][0] == alone[0][0][0], "the first choice has the seed itself"
    assert len({text for text, *_ in alone[2]}) == 3, "choices of one seed differ"
