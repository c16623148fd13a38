"""Read the conversations of the chosen data sets, from registered files or a hub."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem
from backend.data import hub
from backend.datafiles import formats, layouts, reading
from backend.datafiles.formats import Conversation
from backend.datafiles.turns import RowError
from backend.datafiles.values import DataRow

RawRow = tuple[str, int, DataRow]  # file, line (from 1), row
PLACEHOLDERS: tuple[tuple[str, ArgumentName], ...] = (
    ("{{name}}", "identity_name"),
    ("{{author}}", "identity_author"),
)


@dataclass
class RowCount:
    """The number of rows of a file with one code of a reason, and the line of the first."""

    code: str
    file: str
    line: int
    count: int = 0

    def problem(self, notice: bool = True) -> Problem:
        """The problem, or notice, for this reason."""
        params: dict[str, str | int] = {"file": self.file, "line": self.line, "count": self.count}
        return Problem(code=self.code, params=params, notice=notice)


@dataclass
class Account:
    """Counts of rows that were left out (`refused`) and of rows whose turns were put in order
    (`mended`), by reason and file."""

    refused: dict[tuple[str, str], RowCount] = field(default_factory=dict)
    mended: dict[tuple[str, str], RowCount] = field(default_factory=dict)

    def refuse(self, code: str, file: str, line: int) -> None:
        """Count a row that is left out."""
        self.refused.setdefault((code, file), RowCount(code, file, line)).count += 1

    def mend(self, code: str, file: str, line: int) -> None:
        """Count a row whose turns were put in order."""
        self.mended.setdefault((code, file), RowCount(code, file, line)).count += 1

    def add(self, other: "Account") -> None:
        """Add the rows that another account has left out."""
        for key, counted in other.refused.items():
            first = replace(counted, count=0)
            self.refused.setdefault(key, first).count += counted.count

    def notices(self) -> list[Problem]:
        """A notice for each count."""
        return [counted.problem() for counted in (*self.mended.values(), *self.refused.values())]


@dataclass
class ReadConversations(Account):
    """Conversations with the place (file, line) of each, and the counts of other rows."""

    conversations: list[Conversation] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)


class Source:
    """One data set, whose rows can be read several times, a row at a time."""

    def __init__(self, entry: Entry, values: Arguments, argument: str) -> None:
        """Raises DataError where a hub does not answer or does not know the set."""
        self.entry = entry
        self.values = values
        self.argument = argument
        self._hub = hub.load(entry, values) if entry.hub_id else None

    def content(self) -> dict[str, str]:
        """What the rows depend on: the SHA-256 of each file, and the split of a set on a hub."""
        if self._hub is not None:
            files = {name: _digest(file) for name, file in self._hub.fetch_each()}
            return {**files, "split": self.entry.split}
        return {str(file): _digest(file) for file in self._files()}

    def conversations(self, account: Account) -> Iterator[tuple[Conversation, str, int]]:
        """Yield every usable row with its file and line; the others are counted in `account`.

        Raises DataError for a broken file, wrong columns, a row without an answer, or no usable
        row.
        """
        wanted = layouts.WANTED[self.values.stage]
        converts: dict[str, Any] = {}
        empty = True
        for file, line, row in self._choose_rows():
            if file not in converts:
                layout = layouts.layout(self.entry, row, (file, line), wanted)
                strict = self.values.strict_turns
                converts[file] = formats.reader(layout, strict=strict)
            try:
                conversation = converts[file](row)
            except RowError as error:
                if error.fatal:
                    problem = Problem(code=error.code, params={"file": file, "line": line})
                    raise DataError(problem) from None
                account.refuse(error.code, file, line)
                continue
            for code in conversation.notes:
                account.mend(code, file, line)
            if self.entry.placeholders:
                _fill(conversation, self.values)
            empty = False
            yield conversation, file, line
        if empty:
            params = {"name": self.entry.name}
            raise DataError(
                Problem(code="dataset_without_rows", field=self.argument, params=params),
                *(counted.problem(notice=False) for counted in account.refused.values()),
            )

    def _choose_rows(self) -> Iterator[RawRow]:
        """Yield num_samples rows of the entry (drawn by seed), of these the first max_samples.

        A stream is never read whole, so its num_samples are the first rows, too.
        """
        rows, wanted = self._rows(), self.entry.num_samples
        if wanted is not None and self.values.streaming:
            rows = islice(rows, wanted)
        elif wanted is not None:
            count = sum(1 for _ in rows)
            rows = _draw(self._rows, count, wanted, self.values.seed)
        return islice(rows, self.values.max_samples)

    def _files(self) -> list[Path]:
        assert self.entry.path is not None
        return reading.files(self.entry.path)

    def _rows(self) -> Iterator[RawRow]:
        if self._hub is not None:
            return self._hub.rows()
        return (
            (str(file), line, row) for file in self._files() for line, row in reading.rows(file)
        )


def open_sources(values: Arguments, argument: ArgumentName) -> list[Source]:
    """Open the data sets that `dataset` or `eval_dataset` names.

    Raises DataError for an unknown set and for a hub that does not answer.
    """
    return [
        Source(dataset_info.find(name, values.dataset_dir, argument), values, argument)
        for name in dataset_info.names(values[argument])
    ]


def read_conversations(values: Arguments, argument: ArgumentName) -> ReadConversations:
    """Read the conversations of all data sets that an argument names. Raises as Source does."""
    rows = ReadConversations()
    for source in open_sources(values, argument):
        for conversation, file, line in source.conversations(rows):
            rows.conversations.append(conversation)
            rows.places.append((file, line))
    return rows


def _digest(file: Path) -> str:
    try:
        with open(file, "rb", opener=boundary.open_file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        params = {"file": str(file), "reason": error.strerror or str(error)}
        raise DataError(Problem(code="file_unreadable", params=params)) from None


def _draw(
    rows: Callable[[], Iterator[RawRow]], count: int, wanted: int, seed: int
) -> Iterator[RawRow]:
    """Draw `wanted` of `count` rows in random order; where there are fewer, some are repeated."""
    source = random.Random(seed)
    order = source.sample(range(count), min(wanted, count))
    order += source.choices(range(count), k=wanted - len(order)) if count else []
    needed = set(order)
    drawn = {index: row for index, row in enumerate(rows()) if index in needed}
    return iter([drawn[index] for index in order])


def _fill(conversation: Conversation, values: Arguments) -> None:
    """Write the assistant's name and maker where a row leaves a place for them."""
    for message in conversation.messages:
        for mark, name in PLACEHOLDERS:
            if mark in message["content"] and name in values:
                message["content"] = message["content"].replace(mark, str(values[name]))
