"""Answers that are generated together are those that plain `generate` gives to each alone."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MistralConfig,
    PreTrainedModel,
)

from backend.model import answer_cache
from backend.model.answer_batch import Batch, Row
from backend.model.generation import Sampling

VOCABULARY = 100
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
KINDS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SMALL),
    "sliding window": lambda: MistralConfig(**SMALL, sliding_window=6),
    "learned positions": lambda: GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
    ),
}
GREEDY = Sampling(temperature=0, max_tokens=12)


def make_model(config: Any) -> PreTrainedModel:
    """A random model that has an opinion about every place of a text."""
    torch.manual_seed(3)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    return model


@pytest.fixture
def model() -> PreTrainedModel:
    return make_model(KINDS["llama"]())


def make_prompts() -> list[list[int]]:
    """Prompts of many lengths, in no order."""
    draw = random.Random(4)
    return [[draw.randrange(VOCABULARY) for _ in range(n)] for n in (5, 31, 1, 9, 17, 2, 40, 8)]


def generate(model: Any, prompt: list[int], sampling: Sampling) -> list[int]:
    """What plain `generate` answers to a prompt alone."""
    if sampling.seed is not None:
        torch.manual_seed(sampling.seed)
    output = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        generation_config=sampling.config((), 0),
    )
    answer: list[int] = output[0, len(prompt) :].tolist()
    return answer


def row_of(prompt: list[int], sampling: Sampling, end: int | None = None) -> Row:
    """A row that `end` ends before its limit."""
    return Row(prompt, sampling, lambda token: token == end)


def finish(batch: Batch) -> list[Row]:
    """Step until nothing is left; gives the rows in the order in which they ended."""
    ended: list[Row] = []
    for _ in range(1000):
        if not batch.rows:
            return ended
        ended += batch.step()
    raise AssertionError("the batch has no end")


def answer_of(row: Row, prompt: list[int]) -> list[int]:
    """The tokens of an answer without its prompt."""
    assert row.ids[: len(prompt)] == prompt
    return row.ids[len(prompt) :]


def test_a_token_is_written_behind_the_others_without_a_copy_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 600 tokens of eight rows the copies took as long as all else of a token together."""
    monkeypatch.setattr(answer_cache, "SPARE", 4)
    ours, plain = answer_cache.new_cache(), DynamicCache()
    places = []
    for tokens in (7, *[1] * 9, 3):
        for layer in (0, 1):
            keys, values = torch.rand(2, 3, 2, tokens, 5)
            mine, theirs = (each.update(keys, values, layer) for each in (ours, plain))
            assert all(map(torch.equal, mine, theirs))
            if layer == 0:
                places.append(mine[0].data_ptr())
    copies = [number for number, pair in enumerate(pairwise(places), 1) if len(set(pair)) == 2]
    assert copies == [5, 10]
    assert ours.get_seq_length() == plain.get_seq_length() == 19


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_join_and_leave_at_any_time_are_plain_generate_s(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy, row by row: prompts read in pieces, answers of many lengths, three rows at most, and
    room for a few tokens."""
    monkeypatch.setattr(answer_cache, "SPARE", 4)
    model = make_model(KINDS[kind]())
    assert answer_cache.joins(model)
    batch = Batch(model, rows=3, room=1000)
    batch._piece = 6
    prompts = make_prompts()
    rows: list[Row] = []
    for number, prompt in enumerate(prompts):
        rows.append(row_of(prompt, Sampling(temperature=0, max_tokens=3 + 5 * (number % 4))))
        batch.add(rows[-1])
        for _ in range(number % 3):
            batch.step()
    assert len(batch._running.rows) <= 3
    finish(batch)
    answers = [answer_of(row, prompt) for row, prompt in zip(rows, prompts, strict=True)]
    for prompt, answer in zip(prompts, answers, strict=True):
        sampling = Sampling(temperature=0, max_tokens=len(answer))
        assert answer == generate(model, prompt, sampling), len(prompt)
    assert [len(answer) for answer in answers] == [3, 8, 13, 18] * 2
    assert len({tuple(answer[:3]) for answer in answers}) > 4


def test_a_row_keeps_its_sampling_and_its_seed(model: PreTrainedModel) -> None:
    """What it draws does not depend on who answers beside it."""
    samplings = [
        Sampling(temperature=1.5, top_p=1.0, top_k=0, seed=7, max_tokens=10),
        Sampling(temperature=0.8, top_p=0.7, top_k=20, seed=8, max_tokens=10),
        Sampling(temperature=1.0, top_p=0.9, min_p=0.05, seed=9, max_tokens=10),
        Sampling(temperature=0, repetition_penalty=3.0, max_tokens=10),
        Sampling(temperature=1.2, repetition_penalty=1.3, seed=7, max_tokens=10),
    ]
    prompts = make_prompts()[: len(samplings)]
    batch = Batch(model, room=1000)
    rows = [row_of(*each) for each in zip(prompts, samplings, strict=True)]
    for row in rows:
        batch.add(row)
    finish(batch)
    for row, prompt, sampling in zip(rows, prompts, samplings, strict=True):
        assert answer_of(row, prompt) == generate(model, prompt, sampling)


def test_a_row_that_nobody_waits_for_leaves_within_a_step(model: PreTrainedModel) -> None:
    left: set[int] = set()
    prompts = make_prompts()[:3]
    batch = Batch(model, room=1000)
    rows = [
        Row(prompt, GREEDY, lambda _: False, lambda place=place: place in left)
        for place, prompt in enumerate(prompts)
    ]
    for row in rows:
        batch.add(row)
    while len(rows[1].ids) < len(prompts[1]) + 3:
        batch.step()
    left.add(1)
    length = len(rows[1].ids)
    assert batch.step() == [rows[1]]
    assert len(rows[1].ids) == length
    finish(batch)
    for place in (0, 2):
        assert answer_of(rows[place], prompts[place]) == generate(model, prompts[place], GREEDY)
    waiting = Row(prompts[0], GREEDY, lambda _: False, lambda: True)
    batch.add(waiting)
    assert batch.step() == [waiting]
    assert not batch.rows


def test_what_does_not_fit_in_memory_goes_on_with_half_as_many(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are the same; a row alone that does not fit is an error."""
    forward, sizes, most = LlamaForCausalLM.forward, [], 2

    def limited(self: Any, input_ids: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > most and options["attention_mask"].shape[1] > 36:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids, **options)

    prompts = make_prompts()
    batch = Batch(model, rows=5, room=1000)
    rows = [row_of(prompt, GREEDY) for prompt in prompts]
    for row in rows:
        batch.add(row)
    monkeypatch.setattr(batch._model, "forward", limited.__get__(model))
    finish(batch)
    assert max(sizes) > 2
    assert max(sizes[-12:]) <= 2
    monkeypatch.undo()
    for row, prompt in zip(rows, prompts, strict=True):
        assert answer_of(row, prompt) == generate(model, prompt, GREEDY)
    most = 0
    monkeypatch.setattr(batch._model, "forward", limited.__get__(model))
    batch.add(row_of(prompts[6], GREEDY))
    with pytest.raises(torch.OutOfMemoryError):
        batch.step()
    assert len(batch.clear()) == 1


def test_prompts_that_wait_together_are_answered_first_at_one_time(model: PreTrainedModel) -> None:
    """The last client's first token comes with the first's; a long prompt holds nobody up."""
    batch = Batch(model, room=10_000)
    batch._piece = 16
    short = [row_of([5] * 10, GREEDY) for _ in range(4)]
    for row in short:
        batch.add(row)
    while len(short[0].ids) == 10:
        batch.step()
    assert [len(row.ids) for row in short] == [11] * 4
    long = row_of([7] * 160, GREEDY)
    batch.add(long)
    for count in range(12, 16):
        batch.step()
        assert [len(row.ids) for row in short] == [count] * 4
    assert len(long.ids) == 160


def test_room_bounds_the_rows_at_once(model: PreTrainedModel) -> None:
    batch = Batch(model, room=2 * 22)
    for _ in range(5):
        batch.add(row_of([1] * 10, GREEDY))
    batch.step()
    assert len(batch._running.rows) == 2
    assert len(finish(batch)) == 5


def test_what_cannot_join_a_batch(model: PreTrainedModel, tiny_model_dir: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model

    assert answer_cache.joins(model)
    state_space = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)
    assert not answer_cache.joins(make_model(state_space))
    soft = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model_dir),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
    )
    assert not answer_cache.joins(soft)
    assert model.generation_config is not None
    model.generation_config.no_repeat_ngram_size = 2
    assert not answer_cache.joins(model)
    assert not answer_cache.joins(object())
