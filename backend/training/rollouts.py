"""Answers drawn from the model that learns, and how likely each of their tokens is."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import StoppingCriteria, StoppingCriteriaList

from backend.contract.arguments.typed import Arguments
from backend.model import generation, value_head
from backend.model.generation import Sampling
from backend.model.reference import evaluation_mode
from backend.training.batches import IGNORED, Collator
from backend.training.token_loss import logits_at_labels

Ids = Sequence[list[int]]


class TokenOutputs(NamedTuple):
    """What a forward pass says of answers, float32 [n, t]; 0 behind an answer's end.

    values are the value head's, before each token; entropy (nats) is without gradient.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Ids,
    values: Arguments,
    stop_ids: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
) -> list[list[int]]:
    """One answer (token ids) to each prompt, drawn as the arguments say, all in one batch.

    An answer ends with the first of `stop_ids`, which belongs to it; one that is cut off after
    max_new_tokens ends without. Where `stop` turns true, all are cut off within a token.
    """
    longest = max(map(len, prompts))
    pad = generation.pad_id(tokenizer, tuple(stop_ids))
    # the answers begin at one place, so the padding lies on the left
    padded = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    sampling = _sampling(values).within(generation.context_length(model), longest)
    with evaluation_mode(model):
        output = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=sampling.config(tuple(stop_ids), pad),
            stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
        )
    return [to_end(ids, stop_ids) for ids in output[:, longest:].tolist()]


def logprobs(model: Any, prompts: Ids, answers: Ids, temperature: float = 1.0) -> Tensor:
    """The log-probability of each token of the answers, float32 [n, t]; 0 behind an answer's end.

    At `temperature`, so that it is that of the token as it was drawn.
    """
    batch = _batch(model, prompts, answers)
    logits, targets = logits_at_labels(model, batch)
    token_logprobs = target_logprobs(logits.float() / temperature, targets)
    return _scatter(token_logprobs, mask_of(answers, token_logprobs.device))


def forward(model: Any, prompts: Ids, answers: Ids, temperature: float = 1.0) -> TokenOutputs:
    """Log-probabilities, values and entropies of each token, in one pass through the model.

    The model (wrapped or not) has a value head.
    """
    batch = _batch(model, prompts, answers)
    head = value_head.find(model)
    assert head is not None
    places = functional.pad(batch["labels"][:, 1:] != IGNORED, (0, 1), value=False)
    with value_head.capture_states(model, places) as states:
        logits, targets = logits_at_labels(model, batch)
    scaled = logits.float() / temperature
    token_logprobs, entropy = target_logprobs(scaled, targets), entropies(scaled)
    mask = mask_of(answers, token_logprobs.device)
    return TokenOutputs(
        *(_scatter(each, mask) for each in (token_logprobs, head(states[0]), entropy))
    )


def target_logprobs(logits: Tensor, targets: Tensor) -> Tensor:
    """The log-probability [n] of each target [n] under its logits [n, vocabulary]."""
    return -functional.cross_entropy(logits, targets, reduction="none")


@torch.no_grad()
def entropies(logits: Tensor) -> Tensor:
    """The entropy (nats) of each row of logits [n, vocabulary], without gradient."""
    likely = torch.log_softmax(logits, -1)
    return -(likely.exp() * likely).sum(-1)


def mask_of(answers: Ids, device: Any = "cpu") -> Tensor:
    """Which places hold a token, bool [n, t] with t the longest answer's length."""
    lengths = torch.tensor([len(ids) for ids in answers], device=device)
    return torch.arange(int(lengths.max()), device=device) < lengths[:, None]


class _Stop(StoppingCriteria):
    """Ends the batch once it is asked for."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop

    def __call__(self, input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.full((len(input_ids),), self._stop(), device=input_ids.device)


def _sampling(values: Arguments) -> Sampling:
    return Sampling(
        max_tokens=values.max_new_tokens,
        temperature=values.temperature,
        top_p=values.top_p,
        top_k=values.top_k,
        repetition_penalty=values.repetition_penalty,
    )


def to_end(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    """An answer up to its end token; behind it there is only padding."""
    end = next((place + 1 for place, token in enumerate(ids) if token in stop_ids), len(ids))
    return ids[:end]


def _batch(model: Any, prompts: Ids, answers: Ids) -> dict[str, Tensor]:
    """Prompts with their answers on the model's device; the answers are labeled."""
    rows = [
        {"input_ids": [*prompt, *answer], "labels": [IGNORED] * len(prompt) + list(answer)}
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    device = getattr(model, "module", model).device
    batch = Collator(0)(rows)
    return {name: each.to(device) for name, each in batch.items() if name != "tokens"}


def _scatter(numbers: Tensor, mask: Tensor) -> Tensor:
    """The numbers of all tokens, row by row, put back into their rows; 0 elsewhere."""
    return torch.zeros(mask.shape, device=numbers.device).masked_scatter(mask, numbers)
