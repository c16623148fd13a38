"""One data set as tokenised examples, from the cache where it has them."""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from datasets import Dataset

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Problem
from backend.data import cache, examples, fingerprint, pool, tokens
from backend.data.examples import Maker, Numbered
from backend.data.rendering import Template
from backend.data.sources import Account, Counted, Source

ROWS_A_WORKER = 2000  # below this a further process costs more than it brings
BATCH = 1000  # the most rows that are tokenised at once
TELL_EVERY = 10_000  # rows
LEAST = 16  # KTO pairs a prompt with the answer of another row of its batch


class Reports(Protocol):
    """What preparation tells: backend.running.report.Report does it."""

    def notice(self, problem: Problem) -> None:
        """Something worth knowing."""

    def progress(self, step: int, total: int) -> None:
        """How far it is."""


@dataclass(frozen=True)
class Preparation:
    """What all steps of preparing the data of a run share."""

    values: Arguments
    template: Template
    report: Reports

    @property
    def stage(self) -> str:
        """The stage that the rows are for."""
        return self.values.stage

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        return self.values.seed

    @property
    def row_seed(self) -> int:
        """The seed of the order in which rows are learned."""
        seed = self.values.data_seed
        return self.seed if seed is None else seed

    @property
    def limit(self) -> int:
        """The cutoff length in tokens."""
        return tokens.Policy.of(self.values).cutoff_len

    @property
    def anew(self) -> bool:
        """Whether what the cache has is made again."""
        return self.values.overwrite_cache

    def maker(self) -> Maker:
        """What makes examples of rows."""
        return Maker(self.stage, self.template, tokens.Policy.of(self.values))

    def batch_size(self) -> int:
        """How many rows are tokenised at once."""
        wanted = self.values.preprocessing_batch_size
        return max(LEAST, min(wanted, BATCH))


@dataclass(frozen=True)
class Part:
    """Examples with the columns of the account, not packed yet.

    key: what they were made from; total: rows of the data; refused: those left out of them;
    mended: those whose turns were put in order.
    """

    key: str
    rows: Dataset
    total: int = 0
    refused: list[Counted] = field(default_factory=list)
    mended: list[Counted] = field(default_factory=list)


def tokenised(work: Preparation, source: Source) -> Part:
    """The examples of a data set; there may be none. Raises DataError as Source does."""
    key = cache.key(fingerprint.of(source, work.maker(), work.batch_size()))
    rows, meta = cache.cached(
        key,
        examples.features(work.stage),
        lambda write: _written(work, source, write),
        anew=work.anew,
    )
    refused, mended = ([Counted(**count) for count in meta[name]] for name in ("refused", "mended"))
    return Part(key, rows, meta["total"], refused, mended)


def batches(rows: Iterable[Numbered], size: int) -> Iterator[list[Numbered]]:
    """The rows in lists of `size`."""
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _written(work: Preparation, source: Source, write: cache.Write) -> cache.Meta:
    """Tokenise and write every example; the account of what was left out.

    The rows are read twice: first only looked at, so that a broken one stops before the work.
    """
    account = Account()
    total = 0
    for total, _ in enumerate(source.conversations(account), 1):
        if total % TELL_EVERY == 0:
            work.report.progress(0, total)
    names = list(examples.features(work.stage))
    places: dict[int, tuple[str, int]] = {}
    done = 0
    numbered = batches(_numbered(source, places), work.batch_size())
    for made in pool.mapped(work.maker(), numbered, workers(work.values, total)):
        write([{name: example[name] for name in names} for example in made.examples])
        for place, code in made.refused:
            account.refuse(code, *places[place])
        for number in range(done, done + made.rows):
            del places[number]
        done += made.rows
        work.report.progress(done, total)
    return {
        "total": total,
        "refused": [vars(counted) for counted in account.refused.values()],
        "mended": [vars(counted) for counted in account.mended.values()],
    }


def _numbered(source: Source, places: dict[int, tuple[str, int]]) -> Iterator[Numbered]:
    """Every conversation with its number; where it stands is noted in `places`."""
    counted = Account()  # when the rows were first read
    for number, (conversation, file, line) in enumerate(source.conversations(counted)):
        places[number] = (file, line)
        yield number, conversation


def workers(values: Arguments, rows: int) -> int:
    """How many processes tokenise: as asked or one a core, and no more than rows make use of."""
    cores = _cores()
    wanted = values.preprocessing_num_workers or cores
    return max(1, min(wanted, cores, rows // ROWS_A_WORKER))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
