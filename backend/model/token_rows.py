"""Rows of new pieces, fitted so that the layers read and write them as they did the old pieces.

The mean of old rows is a poor beginning: the layers have never seen it. All else in the model stays
as it is. First, texts of the corpus are shown to it both ways, in new pieces and in the old ones:

- Read: after a new piece the hidden states in the midst of the layers shall be those after its last
  old piece (Dobler et al., "AweDist: Attention-aware Embedding Distillation for New Input Token
  Embeddings", 2025).
- Written: the logit of a new piece shall be that of its first old piece, plus the logarithm of how
  often it is this piece that begins so, plus MARGIN; a least-squares fit over hidden states.

Then the rows also learn to predict the texts in new pieces, as in pre-training.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from backend.model import freezing, vocabulary
from backend.model.device import device

LENGTH = 240  # old pieces in a passage
AT_ONCE = 4  # passages in a step
DEPTH = 0.4  # share of the layers whose hidden states are compared
COPYING = 1 / 3  # share of the steps in which old pieces alone are the teacher
RATES = 0.1, 0.025  # of Adam, then and afterwards, in root mean squares of old rows
WARM_UP = 5  # steps
WRITTEN = 0.03  # weight of a logit's squared error beside a state's relative one
PREDICTED = 0.5  # weight of the loss of predicting, afterwards
MARGIN = 2.0  # nats; measured: a least-squares fit flattens what is likely
STATES = 2000  # hidden states for the least-squares fit
RARE = 0.5  # times that a piece counts which no passage holds

Passage = list[int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pieces:
    """New pieces, by their ids in a row, with the ids of the old pieces in their place."""

    old: Mapping[int, Sequence[int]]

    @cached_property
    def first(self) -> int:
        """The smallest id."""
        return min(self.old)

    def split(self, passage: Passage) -> tuple[list[int], list[int]]:
        """The passage in old pieces, and where in it each of its tokens ends."""
        ids: list[int] = []
        ends = []
        for token in passage:
            ids += self.old.get(token, (token,))
            ends.append(len(ids) - 1)
        return ids, ends

    def cut(self, text: Passage, most: int) -> Iterator[Passage]:
        """Passages of at most `most` old pieces, each begun by the text's first token; those in
        which no new piece is are left out."""
        begin = text[:1]
        passage, length = list(begin), 1
        for token in text[1:]:
            size = len(self.old.get(token, (token,)))
            if length + size > most:
                yield from self._with_new(passage)
                passage, length = list(begin), 1
            passage.append(token)
            length += size
        yield from self._with_new(passage)

    def _with_new(self, passage: Passage) -> Iterator[Passage]:
        if any(token in self.old for token in passage[1:]):
            yield passage


def fit(
    model: Any,
    pieces: Pieces,
    texts: Iterable[Passage],
    steps: int,
    progress: Progress,
) -> None:
    """Fit the rows of new pieces in place, in `steps` steps of Adam on AT_ONCE passages each.

    texts     token ids in new pieces; the first token of each only begins the text
    progress  hears the step and how many there are

    The model is computed where it is, see `placed`.
    """
    most = min(positions(model), LENGTH)
    passages = [each for text in texts for each in pieces.cut(text, most)]
    if not passages or not steps:
        return
    tables = list(vocabulary.tables(model).values())
    written = _Written(model, pieces, passages, tables[-1])
    copying = int(COPYING * steps)
    rows = _Rows(tables, pieces, (copying, steps - copying))
    batches = _batches(passages)
    midst = _midst(model)
    with _learning(model, ()):
        for step in range(copying):
            error = _misread(model, midst, pieces, rows.rows[0], next(batches))
            (error + WRITTEN * written.error(rows.rows[-1])).backward()
            rows.step()
            progress(step + 1, steps)
    for step in range(copying, steps):
        batch = next(batches)
        with _learning(model, tables):
            _predict(model, batch)
        rows.take_gradients()
        with _learning(model, ()):
            error = _misread(model, midst, pieces, rows.rows[0], batch)
            (error + WRITTEN * written.error(rows.rows[-1])).backward()
        rows.step()
        progress(step + 1, steps)


@contextmanager
def place(model: Any) -> Iterator[None]:
    """Within it the model computes on the GPU, where it has room there, without dropout; afterwards
    it is on the CPU."""
    model.to(_place(model)).eval()
    try:
        yield
    finally:
        model.to("cpu")


def positions(model: Any) -> int:
    """How many tokens a text may have."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31


def perplexity(model: Any, texts: Sequence[Passage], characters: int) -> float:
    """exp of the mean negative log-likelihood (nats) of a character, whatever its tokens are.

    texts       token ids; the first token of each only begins the text
    characters  how many all texts have together
    """
    total = 0.0
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([text], device=model.device)
            total += model(input_ids=ids, labels=ids).loss.item() * (len(text) - 1)
    return math.exp(min(total / max(characters, 1), 700.0))


class _Rows:
    """The rows of new pieces in each table, in float32, and how they are stepped.

    rows  one tensor (new pieces, features) for each table, in the order of the ids
    """

    def __init__(
        self, tables: Sequence[nn.Parameter], pieces: Pieces, steps: tuple[int, int]
    ) -> None:
        self.tables = tables
        self.span = slice(pieces.first, pieces.first + len(pieces.old))
        self.rows = [table.detach()[self.span].float().clone() for table in tables]
        groups = [
            {"params": [rows.requires_grad_()], "lr": _scale(table, pieces.first)}
            for table, rows in zip(tables, self.rows, strict=True)
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _course(step, steps)
        )

    def take_gradients(self) -> None:
        """The gradients of the rows are those that the tables have there; theirs are dropped."""
        for table, rows in zip(self.tables, self.rows, strict=True):
            assert table.grad is not None
            rows.grad = table.grad[self.span].float()
            table.grad = None

    def step(self) -> None:
        """One step of Adam; the tables hold the rows as they are now."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        with torch.no_grad():
            for table, rows in zip(self.tables, self.rows, strict=True):
                table[self.span] = rows.to(table.dtype)


class _Written:
    """How far the logits of new pieces are from what they shall be, over many hidden states.

    The error is quadratic in the rows: it takes the second moments of the states alone.
    """

    def __init__(self, model: Any, pieces: Pieces, passages: Sequence[Passage], head: Tensor):
        states = torch.cat(list(_states_before(model, pieces, passages)))
        self.moments = states.T @ states / len(states)
        self.mean = states.mean(0)
        leads = [ids[0] for _, ids in sorted(pieces.old.items())]
        self.begun = head.detach()[leads].float()
        offset = _shares(pieces, passages).to(states.device) + MARGIN
        bias = getattr(model.get_output_embeddings(), "bias", None)
        if bias is not None:
            own = slice(pieces.first, pieces.first + len(leads))
            offset += bias.detach()[leads].float() - bias.detach()[own].float()
        self.offset = offset

    def error(self, rows: Tensor) -> Tensor:
        """Half the mean squared error of the logits but for a constant, mean over the rows."""
        beyond = rows - self.begun
        squares = (beyond @ self.moments * beyond).sum(1) / 2
        return (squares - self.offset * (beyond @ self.mean)).mean()


def _states_before(model: Any, pieces: Pieces, passages: Sequence[Passage]) -> Iterator[Tensor]:
    """What the output layer reads before each token of the passages, these being in old pieces."""
    count = 0
    for passage in passages:
        ids, ends = pieces.split(passage)
        with torch.no_grad():
            states = _entering(model, model.get_output_embeddings(), ids)[ends[:-1]]
        yield states.float()
        count += len(states)
        if count >= STATES:
            return


def _shares(pieces: Pieces, passages: Sequence[Passage]) -> Tensor:
    """For each new piece the logarithm of its share in all tokens that begin as it does."""
    counts = Counter(token for passage in passages for token in passage[1:])
    begun: Counter[int] = Counter()
    for token, count in counts.items():
        begun[pieces.old.get(token, (token,))[0]] += count
    shares = (
        max(counts[token], RARE) / max(begun[ids[0]], RARE)
        for token, ids in sorted(pieces.old.items())
    )
    return torch.tensor([math.log(share) for share in shares])


def _midst(model: Any) -> nn.Module:
    """The module that reads the hidden states which are compared."""
    _, layers = freezing.layers(model)
    depth = max(1, int(DEPTH * len(layers)))
    return layers[depth] if depth < len(layers) else model.get_output_embeddings()


def _misread(
    model: Any, midst: nn.Module, pieces: Pieces, rows: Tensor, passages: Sequence[Passage]
) -> Tensor:
    """Mean squared difference of hidden states after tokens in new and in old pieces, relative to
    the square of the state after old ones (a token that attracts all attention has one a hundred
    times as long as others); a mean over all tokens but the first of each passage."""
    errors = []
    for passage in passages:
        ids, ends = pieces.split(passage)
        with torch.no_grad():
            wanted = _entering(model, midst, ids)[ends[1:]].float()
        with _replace_embeddings(model.get_input_embeddings(), pieces.first, rows):
            states = _entering(model, midst, passage)[1:].float()
        errors.append((states - wanted).pow(2).sum(-1) / wanted.pow(2).sum(-1))
    return torch.cat(errors).mean()


def _predict(model: Any, passages: Sequence[Passage]) -> None:
    """Gradients of PREDICTED times the loss of predicting the passages, a mean over their tokens.

    They are one batch, padded behind their ends, where no token before looks.
    """
    rows = [torch.tensor(passage) for passage in passages]
    ids = pad_sequence(rows, batch_first=True).to(model.device)
    labels = pad_sequence(rows, batch_first=True, padding_value=-100).to(model.device)
    loss = model(input_ids=ids, labels=labels, use_cache=False).loss
    (PREDICTED * loss).backward()


class _Reached(Exception):
    """The states that were asked for are there: the rest of the pass is not needed."""


def _entering(model: Any, module: nn.Module, ids: Sequence[int]) -> Tensor:
    """The hidden states (token, feature) that enter a module when the model reads the ids."""
    states: list[Tensor] = []

    def reach(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])
        raise _Reached

    handle = module.register_forward_pre_hook(reach, with_kwargs=True)
    try:
        model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    return states[0][0]


@contextmanager
def _replace_embeddings(embeddings: Any, first: int, rows: Tensor) -> Iterator[None]:
    """Within it the embeddings of the ids from `first` on are these rows."""
    scale = getattr(embeddings, "embed_scale", 1.0)  # as Gemma has

    def replace(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        number = args[0] - first
        fresh = (rows[number.clamp(min=0)] * scale).to(output.dtype)
        return torch.where((number >= 0)[..., None], fresh, output)

    handle = embeddings.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _learning(model: Any, tables: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within it nothing but these tables gets gradients."""
    before = {each: each.requires_grad for each in model.parameters()}
    for each in before:
        each.requires_grad_(any(each is table for table in tables))
    try:
        yield
    finally:
        for each, learns in before.items():
            each.requires_grad_(learns)


def _batches(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Passages for each step, without end: shuffled anew when all have been seen."""
    order = random.Random(0)

    def shuffle() -> Iterator[Passage]:
        while True:
            yield from order.sample(passages, len(passages))

    stream = shuffle()
    while True:
        yield list(islice(stream, AT_ONCE))


def _course(step: int, steps: tuple[int, int]) -> float:
    """The rate at a step, of as many while copying and afterwards: each time it rises over WARM_UP
    steps and falls to zero."""
    part = int(step >= steps[0])
    within = step - part * steps[0]
    return RATES[part] * min(1, (within + 1) / WARM_UP) * (1 - within / max(steps[part], 1))


def _scale(table: Tensor, count: int) -> float:
    """The root mean square of the first rows."""
    return float(table.detach()[:count].float().pow(2).mean().sqrt())


def _place(model: Any) -> str:
    """The GPU where it has room for the model and a quarter more, else the CPU."""
    if device() != "cuda":
        return "cpu"
    size = sum(each.numel() * each.element_size() for each in model.parameters())
    free, _ = torch.cuda.mem_get_info()
    return "cuda" if free > 1.25 * size else "cpu"
