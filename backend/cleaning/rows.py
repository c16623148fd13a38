"""Read the rows of a data set, each with the conversation that training reads; normalize texts."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.contract.registry import dataset_info
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import formats, layouts, reading
from backend.datafiles.detect import STAGES
from backend.datafiles.entering import kind_of_set
from backend.datafiles.formats import Conversation
from backend.datafiles.refusals import file_error
from backend.datafiles.turns import RowError
from backend.datafiles.values import DataRow

line_ends = re.compile("\r\n?|\x85")
gaps = re.compile("[\x0b\x0c\x1c-\x1f]+")  # vertical tabs, form feeds, separators
invisible = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x9f\u200b\ufeff]+")
blank_lines = re.compile(r"\A(?:[^\S\n]*\n)+")


def normalize(value: Any) -> Any:
    """The value with all its texts, however deep, normalized; names of keys stay."""
    if isinstance(value, str):
        return normalize_text(value)
    if isinstance(value, dict):
        return {key: normalize(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [normalize(inner) for inner in value]
    return value


def normalize_text(written: str) -> str:
    """The text with LF line ends, no control characters but LF and tab, no white space around it.

    Lines inside stay as they are, and the first line of several keeps its indentation: it may be
    code.
    """
    written = line_ends.sub("\n", written)
    written = invisible.sub("", gaps.sub(" ", written))
    written = blank_lines.sub("", written).rstrip()
    return written if "\n" in written else written.lstrip()


Read = Callable[[DataRow], Conversation]


@dataclass(frozen=True)
class Item:
    """A row with its number in the set (from 1) and its place.

    conversation: what training reads from it; None where training refuses the row (`refused` is
    the code of the reason) or cannot use the columns. changed: the row differs from the file.
    """

    number: int
    file: str
    line: int
    row: DataRow
    conversation: Conversation | None = None
    refused: str = ""
    changed: bool = False


class Rows:
    """A registered set or a data file, which can be read several times, a row at a time."""

    def __init__(self, name: str, dataset_dir: str, stage: str = "") -> None:
        """Raises DataError: no such set, one on a hub, nothing to read."""
        self.entry = dataset_info.find(name, dataset_dir)
        if self.entry.path is None:
            params = {"name": name}
            raise DataError(Problem(code="clean_on_hub", field="dataset", params=params))
        self.path = self.entry.path
        self.stage = stage or STAGES[kind_of_set(self.entry)]

    def plain(self) -> Iterator[Item]:
        """Yield every row without its conversation. Raises DataError for a broken row."""
        number = 0
        for part in reading.files(self.path):
            empty = True
            for line, row in reading.rows(part):
                number, empty = number + 1, False
                yield Item(number, str(part), line, row)
            if empty:
                raise file_error("file_empty", part)

    def read(
        self, change: Callable[[DataRow], DataRow] | None = None, *, needed: bool = False
    ) -> Iterator[Item]:
        """Yield every row as `change` makes it, with the conversation in it.

        needed: columns that training cannot use are a DataError; else the conversation is None.
        """
        file, reader = "", None
        for item in self.plain():
            row = change(item.row) if change else item.row
            if item.file != file:
                file, reader = item.file, self._reader(item, row, needed)
            conversation, refused = None, ""
            try:
                conversation = reader(row) if reader else None
            except RowError as error:
                refused = error.code
            changed = row is not item.row and row != item.row
            yield Item(item.number, item.file, item.line, row, conversation, refused, changed)

    def content(self) -> dict[str, str]:
        """The SHA-256 of each file by its path."""
        return {str(part): _digest(part) for part in reading.files(self.path)}

    def total(self) -> int:
        """The number of rows; 0 while those of a large file are not counted yet."""
        return reading.page(self.path, 0, 1).total or 0

    def _reader(self, item: Item, row: DataRow, needed: bool) -> Read | None:
        wanted = layouts.WANTED[self.stage]
        try:
            return formats.reader(layouts.layout(self.entry, row, (item.file, item.line), wanted))
        except DataError:
            if needed:
                raise
            return None


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, however deep, in order."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            left += reversed(part.values())
        elif isinstance(part, list):
            left += reversed(part)


def dialogue_text(item: Item) -> str:
    """The texts of questions and answers, without system texts and tools, which many rows share."""
    conversation = item.conversation
    if conversation is None:
        return "\n".join(texts(item.row))
    messages = [each for each in conversation.messages if each["role"] != "system"]
    messages += [each for each in (conversation.chosen, conversation.rejected) if each]
    parts = [_message_text(each) for each in messages] + (
        [conversation.text] if conversation.text else []
    )
    return "\n".join(parts)


def _message_text(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    written = json.dumps(calls, ensure_ascii=False, sort_keys=True) if calls else ""
    return str(message["content"]) + written


def _digest(file: Path) -> str:
    try:
        with open(file, "rb", opener=boundary.open_file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise file_error("file_unreadable", file, reason=error.strerror or str(error)) from None
