"""Tokenize a data set in several processes, or load its examples from the cache.

The processes work on batches in order, with a bounded queue and without hanging.
"""

import gc
import itertools
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from datasets import Dataset, Features

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import DataError, Problem
from backend.data import cache, examples, tokens
from backend.data.examples import Maker, NumberedConversation
from backend.data.read_ahead import ReadAhead
from backend.data.rendering import Template
from backend.data.row_range import TOGETHER
from backend.data.sources import Account, RowCount, Source
from backend.datafiles.formats import Conversation

Batch = TypeVar("Batch")
Result = TypeVar("Result")

WAITING = 2  # batches for each worker that are read ahead

_work: Callable[[Any], Any] | None = None  # of a worker process


def map_batches(
    work: Callable[[Batch], Result],
    batches: Iterable[Batch],
    workers: int,
    meanwhile: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """Yield `work` of each batch, in order; with one worker it runs in this process.

    meanwhile: called again and again while the workers are busy, until it returns False. Raises
    DataError where a worker process dies (killed for memory, crashed in a library).
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
                while not waiting[0].done() and meanwhile():
                    pass
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
    gc.freeze()  # what comes from the parent is not looked through, which would copy it


def _do(batch: Any) -> Any:
    assert _work is not None
    return _work(batch)


ROWS_A_WORKER = 2000  # below this a further process costs more than it brings
CHARACTERS_A_ROW = 500  # longer rows count as several
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


@dataclass
class PlacedBatch:
    """Conversations from number `start` on, each with its file and line."""

    start: int
    conversations: list[Conversation]
    places: list[tuple[str, int]]

    def __len__(self) -> int:
        """The number of conversations."""
        return len(self.conversations)

    @property
    def size(self) -> int:
        """The characters of their texts."""
        return sum(map(_count_characters, self.conversations))


def _count_characters(conversation: Conversation) -> int:
    messages = (*conversation.messages, conversation.chosen, conversation.rejected)
    contents = sum(len(str(message.get("content", ""))) for message in messages if message)
    return len(conversation.text) + contents


@dataclass(frozen=True)
class TokenizedBatch:
    """The examples of `rows` rows as Arrow, and code, file and line of the rows without any."""

    rows: int
    examples: pa.RecordBatch
    refused: list[tuple[str, str, int]]


@dataclass(frozen=True)
class BatchTokenizer:
    """Tokenizes batches of placed conversations. It is picklable, for other processes."""

    maker: Maker
    features: Features

    def __call__(self, batch: PlacedBatch) -> TokenizedBatch:
        """Tokenize a batch."""
        made = self.maker(list(enumerate(batch.conversations, batch.start)))
        refused = [(code, *batch.places[number - batch.start]) for number, code in made.refused]
        return TokenizedBatch(made.rows, cache.to_arrow(made.examples, self.features), refused)


def _tokenize_all(work: Preparation, source: Source, write: cache.Write) -> cache.Meta:
    """Tokenize and write every example, and return the account of rows that were left out.

    Each row is read once. One process reads ahead as far as the memory allows before it begins,
    several read on while they tokenize, so that a broken row stops the run early.
    """
    account, without_example = Account(), Account()
    batch_tokenizer = BatchTokenizer(work.maker(), examples.features(work.stage))
    done = 0
    placed = _place_batches(source, account, work.batch_size())
    ahead = ReadAhead(placed, lambda batch: batch.size)
    workers = _read_begin(work, ahead)
    for made in map_batches(batch_tokenizer, ahead, workers, ahead.read):
        write(made.examples)
        for refusal in made.refused:
            without_example.refuse(*refusal)
        done += made.rows
        work.report.progress(done, ahead.rows if ahead.ended else 0)
    account.add(without_example)
    return {
        "total": done,
        "refused": [vars(counted) for counted in account.refused.values()],
        "mended": [vars(counted) for counted in account.mended.values()],
    }


def _place_batches(source: Source, account: Account, size: int) -> Iterator[PlacedBatch]:
    """Yield the conversations of a source in batches. Raises DataError as Source does."""
    rows = source.conversations(account)
    start = 0
    while batch := list(itertools.islice(rows, size)):
        yield PlacedBatch(start, [row[0] for row in batch], [row[1:] for row in batch])
        start += len(batch)


def _read_begin(work: Preparation, ahead: ReadAhead[PlacedBatch]) -> int:
    """Read until it is certain how many processes pay, and return their number; where one does,
    all rows are read that may wait."""
    most = count_workers(work.values, sys.maxsize)
    reported = 0
    while True:
        rows = max(ahead.rows, ahead.size // CHARACTERS_A_ROW)
        workers = count_workers(work.values, rows)
        if workers == most > 1 or not ahead.read():
            return workers
        if ahead.rows - reported >= TELL_EVERY:
            reported = ahead.rows
            work.report.progress(0, reported)


def count_workers(values: Arguments, rows: int) -> int:
    """The number of processes: as the argument says or one for each core, and no more than the
    rows and cores can use."""
    cores = _cores()
    wanted = values.preprocessing_num_workers or cores
    return max(1, min(wanted, cores, rows // ROWS_A_WORKER))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
