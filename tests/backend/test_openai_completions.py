"""Texts that are continued (/v1/completions), by OpenAI's own client and a model that is loaded."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.model.answer_batch import Batch
from backend.model.generation import Sampling
from backend.serving.completions import ACCEPTED, NEUTRAL, CompletionRequest
from backend.serving.engine import Engine
from backend.serving.generation_request import GenerationRequest
from backend.serving.service import Service
from tests.backend.conftest import make_teacher
from tests.backend.openai_clients import connected
from tests.backend.test_serve_process import api_values

openai = pytest.importorskip("openai")  # of the extra "dev"
TEXTS = ["The capital of France", "Who are you? 你好", "hello " * 60, "a"]


@pytest.fixture(scope="module")
def folder(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_teacher(tiny_model_dir, tmp_path_factory.mktemp("models") / "sharp")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine.load(api_values(model_name_or_path=str(folder)))


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[Any]:
    service = Service("tiny", lambda: engine)
    with connected(service) as made:
        yield made


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def complete(client: Any, prompt: Any, **more: Any) -> Any:
    asked = {"model": "tiny", "prompt": prompt, "temperature": 0, "max_tokens": 8, **more}
    return client.completions.create(**asked)


def continue_plainly(model: Any, tokenizer: Any, text: str) -> str:
    """The greedy continuation in eight tokens by transformers' own `generate`."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False
        )
    answer: str = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
    return answer


def logprobs_of(model: Any, ids: list[int]) -> list[float]:
    """What plain transformers says of each token but the first."""
    with torch.inference_mode():
        scores = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return [float(scores[place, token]) for place, token in enumerate(ids[1:])]


def test_a_text_is_continued_as_it_stands(client: Any, model: Any, tokenizer: Any) -> None:
    for text in TEXTS:
        body = complete(client, text)
        assert body.object == "text_completion"
        assert body.choices[0].text == continue_plainly(model, tokenizer, text)
        ids = tokenizer(text)["input_ids"]
        assert body.usage.prompt_tokens == len(ids)
        assert complete(client, ids).choices[0].text == body.choices[0].text
    assert complete(client, TEXTS[0], max_tokens=None).usage.completion_tokens <= 16


def test_several_texts_and_choices(client: Any, model: Any, tokenizer: Any) -> None:
    body = complete(client, TEXTS, n=2, temperature=1.0, seed=4)
    assert [choice.index for choice in body.choices] == list(range(8))
    for number, text in enumerate(TEXTS):
        alone = complete(client, text, n=2, temperature=1.0, seed=4).choices
        pair = body.choices[2 * number : 2 * number + 2]
        assert [each.text for each in pair] == [each.text for each in alone]
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    assert body.usage.prompt_tokens == sum(map(len, ids))
    greedy = [choice.text for choice in complete(client, ids).choices]
    assert greedy == [continue_plainly(model, tokenizer, text) for text in TEXTS]


def test_the_echo_has_the_log_probabilities_of_the_prompt(
    client: Any, model: Any, tokenizer: Any
) -> None:
    """Of all texts in one request, so that they are read together, in pieces, with padding."""
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    body = complete(client, ids, echo=True, logprobs=3, max_tokens=1)
    for text, tokens, choice in zip(TEXTS, ids, body.choices, strict=True):
        shown = choice.logprobs
        assert len(shown.tokens) == len(tokens) + 1
        assert (shown.token_logprobs[0], shown.top_logprobs[0]) == (None, None)
        expected = logprobs_of(model, tokens)
        assert shown.token_logprobs[1:-1] == pytest.approx(expected, abs=1e-3)
        assert all(3 <= len(likeliest) <= 4 for likeliest in shown.top_logprobs[1:])
        for own, likeliest in zip(shown.token_logprobs[1:], shown.top_logprobs[1:], strict=True):
            assert own in likeliest.values()
        assert choice.text.startswith(text)
        if text.isascii():
            assert shown.text_offset[-1] == len("".join(shown.tokens[:-1]))
            assert "".join(shown.tokens[:-1]) == text


def test_no_token_at_all(client: Any, model: Any, tokenizer: Any) -> None:
    """max_tokens 0 with echo: a text is judged, and nothing is written."""
    text = TEXTS[0]
    body = complete(client, text, echo=True, logprobs=0, max_tokens=0)
    choice = body.choices[0]
    assert (choice.text, choice.finish_reason, body.usage.completion_tokens) == (text, "length", 0)
    expected = logprobs_of(model, tokenizer(text)["input_ids"])
    assert choice.logprobs.token_logprobs[1:] == pytest.approx(expected, abs=1e-3)
    assert complete(client, text, echo=True, max_tokens=0).choices[0].logprobs is None


def test_the_end_of_the_text_has_a_log_probability(client: Any, tokenizer: Any) -> None:
    """lm-eval takes the last one of an echo for that of the one token that it lets us write."""
    end = {str(tokenizer.eos_token_id): 100}
    choice = complete(client, "a b", echo=True, logprobs=1, max_tokens=1, logit_bias=end).choices[0]
    assert choice.finish_reason == "stop"
    assert len(choice.logprobs.tokens) == len(tokenizer("a b")["input_ids"]) + 1


def test_a_stream(client: Any) -> None:
    more: Any = {"echo": True, "logprobs": 1, "n": 2, "seed": 3, "temperature": 1.0}
    whole = complete(client, TEXTS[1], **more)
    chunks = list(
        complete(client, TEXTS[1], stream=True, stream_options={"include_usage": True}, **more)
    )
    assert chunks[-1].usage == whole.usage
    for index, choice in enumerate(whole.choices):
        parts = [c for chunk in chunks for c in chunk.choices if c.index == index]
        assert "".join(part.text for part in parts) == choice.text
        assert parts[-1].finish_reason == choice.finish_reason
        shown = [part.logprobs for part in parts if part.logprobs]
        for field in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            joined = [each for part in shown for each in getattr(part, field)]
            assert joined == getattr(choice.logprobs, field)


def test_texts_are_judged_beside_answers(client: Any) -> None:
    """Echoes and chats that come at once do not disturb each other."""

    def judge(text: str) -> Any:
        return complete(client, text, echo=True, logprobs=2, max_tokens=2).choices[0]

    def chat(text: str) -> str:
        messages: Any = [{"role": "user", "content": text}]
        body = client.chat.completions.create(
            model="tiny", messages=messages, temperature=0, max_tokens=20
        )
        return str(body.choices[0].message.content)

    alone = [(judge(text), chat(text)) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        both = [(pool.submit(judge, text), pool.submit(chat, text)) for text in TEXTS]
        for (echo, answer), (lone_echo, lone_answer) in zip(both, alone, strict=True):
            assert echo.result().text == lone_echo.text
            shown = echo.result().logprobs.token_logprobs[1:]
            assert shown == pytest.approx(lone_echo.logprobs.token_logprobs[1:], abs=1e-3)
            assert answer.result() == lone_answer


def test_a_prompt_is_judged_once_where_memory_runs_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows begin again then, half as many at once; what was told is not told again."""
    sampling = Sampling(temperature=0, max_tokens=3, logprobs=0)
    (batch,) = engine.batches().values()
    shown: list[list[Any]] = [[], [], []]
    rows = []
    for text, heard in zip(("hello " * 60, "user " * 50, "a " * 55), shown, strict=True):
        request = GenerationRequest(prompt=text, echo=True, sampling=sampling)
        rows.append(engine.begin(request, heard.append).row(request))
        batch.add(rows[-1])
    advance = Batch._advance
    failures = iter([True])

    def fail_once(self: Batch) -> None:
        advance(self)
        if next(failures, False):
            raise MemoryError

    monkeypatch.setattr(Batch, "_advance", fail_once)
    for _ in range(40):
        batch.step()
        if not batch.rows:
            break
    assert not batch.rows
    for row, heard in zip(rows, shown, strict=True):
        ids = [each.id for part in heard if isinstance(part, list) for each in part]
        assert ids == row.ids[: len(ids)]
        assert len(ids) >= len(row.ids) - 3


def test_a_model_that_answers_alone_judges_texts_too(
    engine: Engine, model: Any, tokenizer: Any
) -> None:
    """`answer` is how models are run whose answers cannot be batched."""
    sampling = Sampling(temperature=0, max_tokens=0, logprobs=1)
    shown: list[Any] = []
    request = GenerationRequest(prompt="hello " * 150, echo=True, sampling=sampling)
    answer = engine.answer(request, shown.append)
    assert (answer.completion_tokens, answer.finish) == (0, "length")
    logprobs = [each.logprob for part in shown if isinstance(part, list) for each in part]
    expected = logprobs_of(model, tokenizer("hello " * 150)["input_ids"])
    assert logprobs[1:] == pytest.approx(expected, abs=1e-3)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"suffix": "x"}, "suffix", "unsupported_parameter"),
    ({"best_of": 3}, "best_of", "unsupported_parameter"),
    ({"max_tokens": 0}, "max_tokens", "nothing_wanted"),
    ({"logprobs": 21}, "logprobs", "bad_parameter"),
    ({"prompt": ""}, "prompt", "prompt_empty"),
    ({"prompt": []}, "prompt", "bad_parameter"),
    ({"prompt": 5}, "prompt", "bad_parameter"),
    ({"prompt": [1, "a"]}, "prompt", "bad_parameter"),
    ({"prompt": [[-1]]}, "prompt", "unknown_token"),
    ({"prompt": [99999]}, "prompt", "unknown_token"),
    ({"prompt": "hello " * 3000}, "prompt", "prompt_too_long"),
    ({"prompt": ["a"] * 200}, "prompt", "bad_parameter"),
    ({"extra_body": {"messages": []}}, "messages", "unknown_parameter"),
]


@pytest.mark.parametrize(("more", "param", "code"), REFUSED)
def test_what_cannot_be_done_is_refused(
    client: Any, more: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, **{"prompt": "x", **more})
    error = caught.value.response.json()["error"]
    assert (error["param"].partition(".")[0], error["code"]) == (param, code)


def test_every_field_of_openai_s_is_done_accepted_or_refused() -> None:
    from openai.types.completion_create_params import CompletionCreateParamsBase

    fields = set(get_type_hints(CompletionCreateParamsBase)) | {"stream"}
    assert len(fields) > 15
    assert fields - set(CompletionRequest.model_fields) - set(NEUTRAL) - ACCEPTED == set()
