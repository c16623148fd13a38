"""Choose the next token of one answer from its logits, as `generate` chooses it."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from backend.model.generation import Sampling


class NextToken:
    """Chooses the tokens of one answer; what it draws depends on its own seed alone.

    The steps and their order are those of transformers' `generate`, and so are the draws after a
    seed on a CPU: an answer is the same alone and beside others. `own_steps` are the request's own,
    which `generate` takes as its `logits_processor` and applies at the same place.
    """

    def __init__(
        self, sampling: Sampling, device: torch.device, own_steps: Sequence[Any] = ()
    ) -> None:
        self._draws = sampling.temperature > 0 and sampling.top_p > 0
        drawing = _drawing_steps(sampling) if self._draws else ()
        self._steps = LogitsProcessorList([*_penalty(sampling), *own_steps, *drawing])
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def choose(self, ids: list[int], logits: torch.Tensor) -> int:
        """The token after `ids` (the prompt and the answer so far), from logits [vocabulary]."""
        scores = logits[None].float()
        if self._steps:
            text: Any = torch.tensor([ids], device=logits.device)
            scores = self._steps(text, scores)
        if not self._draws:
            return int(scores.argmax())
        chances = scores.softmax(dim=-1)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def _penalty(sampling: Sampling) -> list[Any]:
    penalty = sampling.repetition_penalty
    return [] if penalty == 1 else [RepetitionPenaltyLogitsProcessor(penalty)]


def _drawing_steps(sampling: Sampling) -> list[Any]:
    steps: list[Any] = []
    if sampling.temperature != 1:
        steps.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0:
        steps.append(MinPLogitsWarper(sampling.min_p))
    return steps
