"""Answers that are generated together: rows join between two tokens and leave when they end.

A token costs a pass through all weights, whether one row waits for it or eight. Each row keeps its
own sampling and seed. Prompts that arrive together are read together, in pieces, with a token for
each running answer between two pieces, so that no long prompt holds up the others.
"""

import gc
import inspect
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch.nn import functional
from transformers import DynamicCache

from backend.model import answer_cache
from backend.model.adapters import base_of
from backend.model.answer_scores import token_logprobs
from backend.model.generation import Sampling, TokenLogprob
from backend.model.next_token import NextToken
from backend.running.failures import is_out_of_memory

MAX_ROWS = 16
# Tokens of prompts that are read between two tokens of running answers; on a GPU a pass over a few
# takes as long as one over a thousand.
PIECE = {"cpu": 128}
GPU_PIECE = 1024

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears log-probabilities: of an answer's tokens, and where it wants them of the prompt's, its
    first excepted, piece by piece."""

    wants_prompt: bool

    def hear(self, logprobs: Sequence[TokenLogprob]) -> None:
        """Those of the answer's next tokens."""

    def hear_prompt(self, logprobs: Sequence[TokenLogprob]) -> None:
        """Those of the prompt's next tokens."""


class Row:
    """One answer of a batch.

    ids     the prompt's token ids, and those of the answer as it grows
    limit   their number at the end of an answer that nothing else ends
    take    is handed each token of the answer, and says whether it ends with it
    is_cancelled  whether nobody waits for the answer any more
    own_steps     what the request changes in the scores of the next token
    listener      hears the log-probabilities of each token before `take`, where `sampling` asks
                  for them
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        take: Callable[[int], bool],
        is_cancelled: Callable[[], bool] = lambda: False,
        *,
        own_steps: Sequence[Any] = (),
        listener: Listener | None = None,
    ) -> None:
        self.ids = list(prompt)
        self.limit = len(prompt) + sampling.max_tokens
        self.take = take
        self.is_cancelled = is_cancelled
        self._own_steps = own_steps
        self._listener = listener
        self._prompt = len(prompt)
        self._heard = 1  # tokens of the prompt; nothing says how likely the first is
        self._sampling = sampling
        self._next: NextToken | None = None

    @property
    def is_full(self) -> bool:
        """Whether the answer may have no more tokens."""
        return len(self.ids) >= self.limit

    @property
    def hears_prompt(self) -> bool:
        """Whether log-probabilities of the prompt are still to be told."""
        listener = self._listener
        return listener is not None and listener.wants_prompt and self._heard < self._prompt

    def read(self, place: int, logits: torch.Tensor) -> None:
        """Take the logits [tokens, vocabulary] after the tokens of the prompt from a place on."""
        tokens = self.ids[self._heard : min(place + len(logits) + 1, self._prompt)]
        if self._listener is not None and self._listener.wants_prompt and tokens:
            start = self._heard - 1 - place
            scores = logits[start : start + len(tokens)]
            self._listener.hear_prompt(token_logprobs(tokens, scores, self._sampling.logprobs or 0))
            self._heard += len(tokens)

    def add_token(self, logits: torch.Tensor) -> bool:
        """Choose the next token from logits [vocabulary]; returns whether the answer has ended."""
        self._next = self._next or NextToken(self._sampling, logits.device, self._own_steps)
        token = self._next.choose(self.ids, logits)
        self.ids.append(token)
        if self._listener is not None and self._sampling.logprobs is not None:
            self._listener.hear(token_logprobs([token], logits[None], self._sampling.logprobs))
        return self.take(token) or self.is_full


class Batch:
    """The answers of one model that are generated together. Not thread-safe.

    At most `rows` at once; `room` is the number of tokens that all of them may have together, None
    takes it from the free memory. `around` is entered for each pass through the model.
    """

    def __init__(
        self,
        model: Any,
        *,
        rows: int = MAX_ROWS,
        room: int | None = None,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._model = model
        self._most = rows
        self._room = answer_cache.room(model) if room is None else room
        self._around = around
        self._piece = PIECE.get(model.device.type, GPU_PIECE)
        self._accepted = inspect.signature(base_of(model).forward).parameters
        self._waiting: deque[Row] = deque()
        self._reading: _Prompts | None = None
        self._running = _Rows.none()
        self._ended: list[Row] = []  # not yet given to the caller

    @property
    def rows(self) -> list[Row]:
        """The answers that are generated, then those whose prompts are read, then those waiting."""
        return [*self._rows_under_way(), *self._waiting, *self._ended]

    def add(self, row: Row) -> None:
        """Let a row join as soon as there is room for it, after those that wait already."""
        self._waiting.append(row)

    def clear(self) -> list[Row]:
        """Drop all rows, which are returned."""
        rows = self.rows
        self._waiting.clear()
        self._ended.clear()
        self._reading, self._running = None, _Rows.none()
        return rows

    def step(self) -> list[Row]:
        """Read a piece of waiting prompts and add a token to each answer; gives the ended rows.

        Where memory does not suffice, all go on from their texts so far, half as many at once.
        Raises what the model raises; the rows are still there then.
        """
        fits = True
        try:
            with torch.inference_mode():
                self._advance()
        except (RuntimeError, MemoryError) as error:
            count = len(self._rows_under_way())
            if count < 2 or not is_out_of_memory(error):
                raise
            fits = False
        if not fits:
            self._halve()
        ended, self._ended = self._ended, []
        return ended

    def _halve(self) -> None:
        """Begin again with half as many rows at once."""
        begun = self._rows_under_way()
        logger.warning("%d answers at once do not fit in memory: half of them", len(begun))
        self._most = len(begun) // 2
        self._waiting.extendleft(reversed(begun))
        self._reading, self._running = None, _Rows.none()
        gc.collect()  # what the failed pass held, now that its error is gone
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()

    def _rows_under_way(self) -> list[Row]:
        return [*self._running.rows, *(self._reading.rows if self._reading else ())]

    def _advance(self) -> None:
        self._drop_cancelled()
        if self._running.rows:
            self._add_tokens()
        if self._reading is None:
            self._reading = self._next_prompts()
        if self._reading is not None:
            self._read(self._reading)

    def _drop_cancelled(self) -> None:
        """Drop the rows that nobody waits for; one among prompts that are read ends with them."""
        cancelled = [row for row in self.rows if row.is_cancelled()]
        if not cancelled:
            return
        self._waiting = deque(row for row in self._waiting if row not in cancelled)
        self._running = self._running.without(cancelled)
        if self._reading and all(row in cancelled for row in self._reading.rows):
            self._reading = None
        remaining = self.rows
        self._ended += [row for row in cancelled if row not in remaining]

    def _add_tokens(self) -> None:
        running = self._running
        running.mask = functional.pad(running.mask, (0, 1), value=1)
        tokens = torch.tensor([row.ids[-1:] for row in running.rows])
        logits = self._forward(tokens, running.mask, running.cache)
        self._running = running.without(self._add_token_to_each(running.rows, logits[:, -1]))

    def _add_token_to_each(self, rows: list[Row], logits: torch.Tensor) -> list[Row]:
        """Add a token to each row that is not cancelled; gives those that have ended."""
        ended = [
            row
            for row, scores in zip(rows, logits, strict=True)
            if row.is_cancelled() or row.is_full or row.add_token(scores)
        ]
        self._ended += ended
        return ended

    def _next_prompts(self) -> "_Prompts | None":
        """The prompts that are read next: as many as there is room for, and at most half padding,
        first come, first served."""
        group: list[Row] = []
        while self._waiting and self._fits([*self._running.rows, *group, self._waiting[0]]):
            lengths = [len(row.ids) for row in [*group, self._waiting[0]]]
            if len(lengths) * max(lengths) > 2 * sum(lengths):
                break
            group.append(self._waiting.popleft())
        return _Prompts(group) if group else None

    def _fits(self, rows: list[Row]) -> bool:
        tokens = len(rows) * max(row.limit for row in rows)
        return len(rows) <= self._most and (len(rows) == 1 or tokens <= self._room)

    def _read(self, prompts: "_Prompts") -> None:
        """Read a piece of prompts; after the last, their rows get a token each and join."""
        start, width = prompts.read, prompts.ids.shape[1]
        end = min(start + max(1, self._piece // len(prompts.rows)), width)
        heard = any(row.hears_prompt for row in prompts.rows)
        tokens, mask = prompts.ids[:, start:end], prompts.mask[:, :end]
        logits = self._forward(tokens, mask, prompts.cache, every=heard)
        prompts.read = end
        if heard:
            prompts.tell(start, logits)
        if end == width:
            self._reading = None
            ended = self._add_token_to_each(prompts.rows, logits[:, -1])
            self._running = self._running.join(prompts.without(ended))

    def _forward(
        self, tokens: torch.Tensor, mask: torch.Tensor, cache: DynamicCache, every: bool = False
    ) -> torch.Tensor:
        """Logits [rows, count, vocabulary] after `every` one of some tokens [rows, count], or only
        after the last.

        `mask` [rows, all tokens so far] is 0 left of a row's first token.
        """
        device = self._model.device
        options: dict[str, Any] = {}
        if "position_ids" in self._accepted:
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)
            options["position_ids"] = places[:, -tokens.shape[1] :].to(device)
        if "logits_to_keep" in self._accepted:
            options["logits_to_keep"] = 0 if every else 1  # 0 keeps all
        with self._around():
            output = self._model(
                input_ids=tokens.to(device),
                attention_mask=mask.to(device),
                past_key_values=cache,
                use_cache=True,
                **options,
            )
        logits: torch.Tensor = output.logits
        return logits


class _Rows:
    """Rows with their keys and values; `mask` [rows, tokens] is 0 left of a row's first token."""

    def __init__(self, rows: list[Row], cache: DynamicCache, mask: torch.Tensor) -> None:
        self.rows = rows
        self.cache = cache
        self.mask = mask

    @classmethod
    def none(cls) -> "_Rows":
        return cls([], answer_cache.new_cache(), torch.ones(0, 0, dtype=torch.long))

    def without(self, gone: list[Row]) -> "_Rows":
        """The rows that are not among `gone`, without the columns that are empty then."""
        left = [place for place, row in enumerate(self.rows) if row not in gone]
        if len(left) == len(self.rows):
            return self
        if not left:
            return _Rows.none()
        mask = self.mask[left]
        start = int(mask.any(dim=0).int().argmax())
        rows = [self.rows[place] for place in left]
        return _Rows(rows, answer_cache.select(self.cache, left, start), mask[:, start:])

    def join(self, other: "_Rows") -> "_Rows":
        """The rows of both; the last tokens of all are in one column."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        width = max(self.mask.shape[1], other.mask.shape[1])
        masks = [
            functional.pad(each, (width - each.shape[1], 0)) for each in (self.mask, other.mask)
        ]
        cache = answer_cache.join([self.cache, other.cache])
        return _Rows([*self.rows, *other.rows], cache, torch.cat(masks))


class _Prompts(_Rows):
    """Rows whose prompts are read, piece by piece: `read` is the number of columns so far."""

    def __init__(self, rows: list[Row]) -> None:
        width = max(len(row.ids) for row in rows)
        self.ids = torch.tensor([[0] * (width - len(row.ids)) + row.ids for row in rows])
        self.read = 0
        masks = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
        super().__init__(rows, answer_cache.new_cache(), torch.tensor(masks))

    def tell(self, start: int, logits: torch.Tensor) -> None:
        """Hand each row the logits [rows, columns, vocabulary] of its columns from `start` on."""
        width = self.ids.shape[1]
        for row, scores in zip(self.rows, logits, strict=True):
            padding = width - len(row.ids)
            row.read(max(0, start - padding), scores[max(0, padding - start) :])
