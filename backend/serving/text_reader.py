"""What a model makes of whole texts: vectors (embeddings), and the scores of a reward model."""

import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.contract.models.model_folder import VALUE_HEAD
from backend.contract.texts.problems import Problem, UsageError
from backend.data.spans import render_conversation
from backend.data.tokens import IGNORED, Policy, encode
from backend.datafiles.turns import RowError
from backend.model import value_head
from backend.model.value_head import ValueHead
from backend.serving import pooling
from backend.serving.pooling import Pooling
from backend.serving.weights import Weights

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "first": lambda states: states[0],
    "last": lambda states: states[-1],
    "mean": lambda states: states.mean(0),
    "max": lambda states: states.amax(0),
}


class Judged(NamedTuple):
    """A conversation as a reward model reads it: token ids, and the place where its answer ends."""

    ids: list[int]
    end: int


class TextReader:
    """Reads texts with a model of `Weights`. Not thread-safe."""

    def __init__(self, model: Any, template: Any, weights: Weights) -> None:
        self._model = model
        self._template = template
        self._weights = weights
        self._heads: dict[str | None, ValueHead] = {
            key: value_head.read(model, folder, "model_name_or_path")
            for key, folder in weights.folders.items()
            if (folder / VALUE_HEAD).is_file()
        }

    @cached_property
    def pooling(self) -> Pooling:
        """How the vectors of tokens become one. Raises UsageError where that is not done here."""
        folder = self._weights.folders.get(None)
        return pooling.read(folder) if folder else Pooling()

    def embed(self, rows: Sequence[list[int]], **weights: Any) -> list[Tensor]:
        """A vector for each row of token ids, float32 [hidden] on the CPU; `weights` as for
        Weights.key_of. Raises UsageError where the model's own pooling is not done here.

        The hidden states are those that the output layer gets, behind the last norm.
        """
        pool = partial(_pool, self.pooling)
        ids, mask = self._pad(rows)
        places = mask.bool()
        with (
            torch.inference_mode(),
            self._weights.use(self._weights.key_of(**weights)),
            value_head.capture_states(self._model, places, logits=False) as states,
        ):
            self._model(input_ids=ids, attention_mask=mask, use_cache=False)
        parts = states[0].float().cpu().split([len(row) for row in rows])
        return [pool(part) for part in parts]

    def require_head(self, name: str, **weights: Any) -> None:
        """Raises UsageError where these weights, which clients know by a name, have no head."""
        if self._weights.key_of(**weights) not in self._heads:
            params = {"path": name, "file": VALUE_HEAD}
            raise UsageError(Problem(code="reward_no_head", field="model", params=params))

    def encode_answer(self, question: str, answer: str) -> Judged:
        """A question and an answer, tokenized as the rows of the stage rm are.

        Raises UsageError where the template refuses them.
        """
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        try:
            texts = render_conversation(self._template, messages, None, last_only=True)
        except RowError as error:
            params = {"reason": error.code}
            raise UsageError(
                Problem(code="template_refuses", field="text_2", params=params)
            ) from None
        (part,) = encode(texts[-1:], self._template, Policy(sys.maxsize))
        end = max(at for at, label in enumerate(part.labels) if label != IGNORED)
        return Judged(part.ids, end)

    def score(self, rows: Sequence[Judged], **weights: Any) -> list[float]:
        """The value at the end of each answer, of weights that have a head."""
        key = self._weights.key_of(**weights)
        ids, mask = self._pad([row.ids for row in rows])
        ends = torch.tensor([row.end for row in rows], device=ids.device)
        with torch.inference_mode(), self._weights.use(key):
            values = value_head.values_at(self._model, self._heads[key], ids, mask, ends)
        return [float(value) for value in values]

    def _pad(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids with padding on the right, and their mask, int64 [rows, length]."""
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids.to(self._model.device), mask.to(self._model.device)


def _pool(pooling_: Pooling, states: Tensor) -> Tensor:
    """One vector [hidden] of those of a text's tokens [length, hidden]."""
    vector = POOLS[pooling_.mode](states)
    return torch.nn.functional.normalize(vector, dim=0) if pooling_.is_scaled else vector
