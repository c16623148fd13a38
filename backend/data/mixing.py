"""Mix several data sets: one after the other, or interleaved by their probabilities."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import datasets
from datasets import Dataset

from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import probabilities

Item = TypeVar("Item")


@dataclass(frozen=True)
class Mix:
    """How sets are mixed: a mix_strategy, and the share of each set (() for equal turns).

    interleave_under ends with the first set that is used up; interleave_over when every set was,
    shorter ones coming again; interleave_once likewise, but each row comes once.
    """

    strategy: str = "concat"
    shares: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Arguments) -> "Mix":
        """The mix that the arguments ask for."""
        strategy = values.mix_strategy
        return cls(strategy, tuple(probabilities(values.interleave_probs)))

    def rows(self, sets: Sequence[Iterable[Item]], draw: random.Random) -> Iterator[Item]:
        """Yield the rows of all sets, each of which must be readable several times."""
        if self.strategy == "concat":
            for each in sets:
                yield from each
            return
        iterators = [iter(each) for each in sets]
        ended: set[int] = set()
        for at in self._turns(len(sets), draw, ended):
            rows = list(_next(iterators[at]))
            if not rows:
                ended.add(at)
                if self.strategy == "interleave_under" or len(ended) == len(sets):
                    return
                if self.strategy == "interleave_over":
                    iterators[at] = iter(sets[at])
                    rows = list(_next(iterators[at]))
            yield from rows

    def _turns(self, count: int, draw: random.Random, ended: set[int]) -> Iterator[int]:
        """Yield the index of the set whose turn it is; under interleave_once a set that has ended
        has no turn."""
        while True:
            once = self.strategy == "interleave_once"
            open_ = [at for at in range(count) if not (once and at in ended)]
            if self.shares:
                yield draw.choices(open_, [self.shares[at] for at in open_])[0]
            else:
                yield from open_

    def join(self, parts: Sequence[Dataset], seed: int) -> Dataset:
        """Join data sets in memory or on the disk, in the order of `rows`."""
        whole = datasets.concatenate_datasets(list(parts))
        if self.strategy == "concat" or len(parts) == 1:
            return whole
        starts = [sum(len(part) for part in parts[:at]) for at in range(len(parts))]
        ranges = [range(at, at + len(part)) for at, part in zip(starts, parts, strict=True)]
        return whole.select(list(self.rows(ranges, random.Random(seed))))


def shuffle(rows: Iterable[Item], buffer: int, draw: random.Random) -> Iterator[Item]:
    """Yield the rows in random order, drawn from a buffer of `buffer` rows."""
    held: list[Item] = []
    for row in rows:
        if len(held) < buffer:
            held.append(row)
            continue
        at = draw.randrange(buffer)
        yield held[at]
        held[at] = row
    draw.shuffle(held)
    yield from held


def _next(iterator: Iterator[Any]) -> Iterator[Any]:
    """Yield the next row, or nothing at the end."""
    for row in iterator:
        yield row
        return
