"""Make examples while the model trains (`streaming`), for data of any size.

set -> conversations -> examples -> packed -> mixed with other sets -> shuffled in a buffer, again
and again; only the buffer is held in memory. The order depends on the seed alone, so that a resumed
run skips the rows that it has learned and goes on.
"""

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset

from backend.contract.texts.problems import DataError, Problem
from backend.data import examples, mixing, packing, sources
from backend.data.mixing import Mix
from backend.data.sources import Account, Source
from backend.data.tokenize import Part, Preparation, batches

ROWS = 64  # tokenized at once
PACKED = 1000  # examples that are packed together

logger = logging.getLogger(__name__)


class Stream(torch.utils.data.IterableDataset[dict[str, Any]]):
    """An endless stream of examples of several sets, mixed; each pass has its own order."""

    def __init__(self, sets: list["SetStream"], mix: Mix, buffer: int, seed: int) -> None:
        super().__init__()
        self.sets = sets
        self.mix = mix
        self.buffer = buffer
        self.seed = seed
        self.column_names = sets[0].names
        self.start = 0  # rows that are passed over, since they are learned already

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the examples after the first `start`. Raises DataError where a pass has none."""
        return itertools.islice(self._rows(), self.start, None)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            empty = True
            for row in self.iterate_pass(number):
                empty = False
                yield row
            if empty:
                raise DataError(Problem(code="no_rows_left", field="dataset", params={"rows": 0}))
            logger.info("the data was passed %d time(s)", number + 1)

    def iterate_pass(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield the examples of one pass, in its order."""
        draw = random.Random(f"{self.seed} {number}")
        mixed = self.mix.rows(self.sets, draw)
        return mixing.shuffle(mixed, self.buffer, draw) if self.buffer else mixed


def open_stream(work: Preparation) -> tuple[Stream, Part | None]:
    """Open the stream of `dataset`; also returns its first val_size rows for evaluation.

    Raises DataError as Source does, also while the stream is iterated.
    """
    opened = sources.open_sources(work.values, "dataset")
    size = int(work.values.val_size)
    shares = [size // len(opened) + (at < size % len(opened)) for at in range(len(opened))]
    shuffles = not work.values.disable_shuffling
    buffer = work.values.buffer_size if shuffles else 0
    sets = [SetStream(work, source, share) for source, share in zip(opened, shares, strict=True)]
    stream = Stream(sets, Mix.of(work.values), buffer, work.row_seed)
    return stream, _hold_out(work, opened, shares) if size else None


class SetStream:
    """The examples of one set from conversation `start` on, made while they are iterated."""

    def __init__(self, work: Preparation, source: Source, start: int) -> None:
        self.work = work
        self.source = source
        self.start = start
        kind = packing.kind(work.values)
        packed = packing.NEAT if kind == "neat" else packing.FEATURES
        self.names = list(packed) if kind else examples.columns(work.stage)
        self.reported: set[tuple[str, str]] = set()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows, kind, limit = self._examples(), packing.kind(self.work.values), self.work.limit
        if kind == "blocks":
            rows = packing.blocks((row["input_ids"] for row in rows), limit)
        elif kind:
            rows = self._bins(rows, kind == "neat")
        for row in rows:
            yield {name: row[name] for name in self.names}

    def _examples(self) -> Iterator[dict[str, Any]]:
        """Yield the examples, with a notice for the first row of each reason to leave rows out."""
        account, maker = Account(), self.work.maker()
        places: dict[int, tuple[str, int]] = {}

        def number_conversations() -> Iterator[examples.NumberedConversation]:
            for number, (conversation, file, line) in enumerate(self.source.conversations(account)):
                if number >= self.start:
                    places[number] = (file, line)
                    yield number, conversation

        for batch in batches(number_conversations(), ROWS):
            made = maker(batch)
            for place, code in made.refused:
                account.refuse(code, *places[place])
            places.clear()
            self._tell(account, any(example["cut"] for example in made.examples))
            yield from made.examples
        for notice in account.notices():
            logger.warning("%s", notice.text())

    def _tell(self, account: Account, cut: bool) -> None:
        if cut:
            params: dict[str, str | int] = {"limit": self.work.limit}
            self.work.report.notice(
                Problem(code="stream_cut", field="cutoff_len", params=params, notice=True)
            )
        new = {key: counted for key, counted in account.refused.items() if key not in self.reported}
        unusual = {
            key: counted for key, counted in account.mended.items() if key not in self.reported
        }
        self.reported |= {*new, *unusual}
        for key, counted in {**unusual, **new}.items():
            logger.warning("%s", counted.problem().text())
            code = "stream_left_out" if key in new else "stream_mended"
            params = {"file": counted.file, "line": counted.line}
            self.work.report.notice(Problem(code=code, params=params, notice=True))

    def _bins(self, examples: Iterator[dict[str, Any]], neat: bool) -> Iterator[dict[str, Any]]:
        while some := list(itertools.islice(examples, PACKED)):
            for group in packing.bins([row["length"] for row in some], self.work.limit):
                yield packing.join([some[index] for index in group], neat)


def _hold_out(work: Preparation, opened: list[Source], shares: list[int]) -> Part:
    """Make the examples of the first rows of each set, which the stream leaves out."""
    maker, total = work.maker(), 0
    account = Account()
    held_out: list[dict[str, Any]] = []
    for source, share in zip(opened, shares, strict=True):
        rows = itertools.islice(source.conversations(account), share)
        read = [conversation for conversation, _, _ in rows]
        total += len(read)
        held_out += maker(list(enumerate(read))).examples
    if not held_out:
        params = {"rows": total}
        raise DataError(Problem(code="no_rows_left", field="val_size", params=params))
    names = list(examples.features(work.stage))
    rows = Dataset.from_list(
        [{name: row[name] for name in names} for row in held_out],
        features=examples.features(work.stage),
    )
    return Part("", rows, total)
