"""Tokenize a data set in several processes, or load its examples from the cache.

The processes work on batches in order, with a bounded queue and without hanging.
"""

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from datasets import Dataset

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import DataError, Problem
from backend.data import cache, examples, tokens
from backend.data.examples import Maker, NumberedConversation
from backend.data.rendering import Template
from backend.data.row_range import TOGETHER
from backend.data.sources import Account, RowCount, Source

Batch = TypeVar("Batch")
Result = TypeVar("Result")

WAITING = 2  # batches for each worker that are read ahead

_work: Callable[[Any], Any] | None = None  # of a worker process


def map_batches(
    work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int
) -> Iterator[Result]:
    """Yield `work` of each batch, in order; with one worker it runs in this process.

    Raises DataError where a worker process dies (killed for memory, crashed in a library).
    """
    if workers == 1:
        yield from map(work, batches)
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
    waiting: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context(), initializer=_begin, initargs=(work,)
    )
    try:
        for batch in batches:
            waiting.append(pool.submit(_do, batch))
            if len(waiting) > WAITING * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        params = {"workers": workers}
        raise DataError(
            Problem(code="worker_died", field="preprocessing_num_workers", params=params)
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work


def _do(batch: Any) -> Any:
    assert _work is not None
    return _work(batch)


ROWS_A_WORKER = 2000  # below this a further process costs more than it brings
BATCH = TOGETHER  # the most rows that are tokenized at once
TELL_EVERY = 10_000  # rows
LEAST = 16  # rows; KTO pairs a prompt with the answer of another row of its batch


class Reports(Protocol):
    """Takes the notices and the progress of preparation, as backend.running.report.Report does."""

    def notice(self, problem: Problem) -> None:
        """Report a notice."""

    def progress(self, step: int, total: int) -> None:
        """Report the progress in rows; total is 0 while it is not known."""


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
        """Whether cached examples are made again."""
        return self.values.overwrite_cache

    def maker(self) -> Maker:
        """The maker of examples for this stage."""
        return Maker(self.stage, self.template, tokens.Policy.of(self.values))

    def batch_size(self) -> int:
        """How many rows are tokenized at once."""
        wanted = self.values.preprocessing_batch_size
        return max(LEAST, min(wanted, BATCH))


@dataclass(frozen=True)
class Part:
    """Examples with the columns of the account, before packing.

    key: fingerprint of all they depend on; total: rows of the data; refused: rows that were left
    out; mended: rows whose turns were put in order.
    """

    key: str
    rows: Dataset
    total: int = 0
    refused: list[RowCount] = field(default_factory=list)
    mended: list[RowCount] = field(default_factory=list)


def tokenize_source(work: Preparation, source: Source) -> Part:
    """Tokenize a data set or load its examples; may have none. Raises DataError as Source does."""
    key = cache.key(cache.of(source, work.maker(), work.batch_size()))
    rows, meta = cache.load_or_make(
        key,
        examples.features(work.stage),
        lambda write: _tokenize_all(work, source, write),
        anew=work.anew,
    )
    refused, mended = (
        [RowCount(**count) for count in meta[name]] for name in ("refused", "mended")
    )
    return Part(key, rows, meta["total"], refused, mended)


def batches(
    rows: Iterable[NumberedConversation], size: int
) -> Iterator[list[NumberedConversation]]:
    """The rows in lists of `size`."""
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _tokenize_all(work: Preparation, source: Source, write: cache.Write) -> cache.Meta:
    """Tokenize and write every example, and return the account of rows that were left out.

    The rows are read twice, the first time without tokenizing, so that a broken one stops the run
    before the work.
    """
    account = Account()
    total = 0
    for total, _ in enumerate(source.conversations(account), 1):
        if total % TELL_EVERY == 0:
            work.report.progress(0, total)
    names = list(examples.features(work.stage))
    places: dict[int, tuple[str, int]] = {}
    done = 0
    numbered = batches(_number(source, places), work.batch_size())
    for made in map_batches(work.maker(), numbered, count_workers(work.values, total)):
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


def _number(source: Source, places: dict[int, tuple[str, int]]) -> Iterator[NumberedConversation]:
    """Yield every conversation with its number, and note its file and line in `places`."""
    counted = Account()  # its counts are those of the first reading
    for number, (conversation, file, line) in enumerate(source.conversations(counted)):
        places[number] = (file, line)
        yield number, conversation


def count_workers(values: Arguments, rows: int) -> int:
    """The number of processes: as the argument says or one for each core, and no more than the
    rows and cores can use."""
    cores = _cores()
    wanted = values.preprocessing_num_workers or cores
    return max(1, min(wanted, cores, rows // ROWS_A_WORKER))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
