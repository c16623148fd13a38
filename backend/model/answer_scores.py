"""The scores of an answer's next token: what a request changes in them, and log-probabilities."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import LogitsProcessor

from backend.model.adapters import base_of
from backend.model.generation import Sampling, TokenLogprob


def own_steps(sampling: Sampling, prompt: int) -> list[LogitsProcessor]:
    """The steps that a request asks for beyond those of `generate`; they come after its repetition
    penalty and before its temperature. `prompt` is the number of tokens before the answer."""
    steps: list[LogitsProcessor] = []
    if sampling.frequency_penalty or sampling.presence_penalty:
        steps.append(_CountPenalty(sampling, prompt))
    if sampling.logit_bias:
        steps.append(_Bias(sampling.logit_bias))
    return steps


class _CountPenalty(LogitsProcessor):
    """OpenAI's penalties for tokens that the answer has already; the prompt's do not count.

    score - count * frequency_penalty - (count > 0) * presence_penalty, from
    https://platform.openai.com/docs/guides/text-generation#frequency-and-presence-penalties
    """

    def __init__(self, sampling: Sampling, prompt: int) -> None:
        self._frequency = sampling.frequency_penalty
        self._presence = sampling.presence_penalty
        self._prompt = prompt

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        tokens, counts = input_ids[0, self._prompt :].unique(return_counts=True)
        scores = scores.clone()
        scores[0, tokens] -= counts * self._frequency + self._presence
        return scores


class _Bias(LogitsProcessor):
    """Adds to the scores of single tokens."""

    def __init__(self, bias: Sequence[tuple[int, float]]) -> None:
        self._tokens = [token for token, _ in bias]
        self._values = [value for _, value in bias]

    def __call__(self, _input_ids: Any, scores: Any) -> Any:
        scores = scores.clone()
        scores[0, self._tokens] += scores.new_tensor(self._values)
        return scores


def token_logprobs(
    tokens: Sequence[int], logits: torch.Tensor, likeliest: int
) -> list[TokenLogprob]:
    """The log-probabilities of tokens by the logits [tokens, vocabulary] before each of them, and
    of so many of the likeliest."""
    scores = logits.float().log_softmax(dim=-1)
    own = scores.gather(1, torch.tensor(tokens, device=scores.device)[:, None])[:, 0].tolist()
    values, ids = scores.topk(min(likeliest, scores.shape[-1]))
    rows = zip(tokens, own, ids.tolist(), values.tolist(), strict=True)
    return [TokenLogprob(t, score, tuple(zip(i, v, strict=True))) for t, score, i, v in rows]


class LastLogits:
    """The logits [1, vocabulary] after the newest token of a text that `generate` writes."""

    logits: torch.Tensor

    def keep(self, _model: Any, _inputs: Any, output: Any) -> None:
        """Keep the logits of a pass through the model; a forward hook."""
        self.logits = output.logits[:, -1]


@contextmanager
def watch_logits(model: Any) -> Iterator[LastLogits]:
    """Keep the logits of each pass through a model, as it gives them.

    The pass is that of the model under an adapter: `generate` of peft calls no other.
    """
    last = LastLogits()
    hook = base_of(model).register_forward_hook(last.keep)
    try:
        yield last
    finally:
        hook.remove()
