"""Make the examples of a range of rows, given by their numbers, as training makes them.

Only these rows are read (backend.datafiles.page), so row 100,000 costs as much as row 0. Rows that
training leaves out are listed with the reason.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, Params, Problem
from backend.data import packing, tokens
from backend.data.examples import Example, Maker
from backend.data.rendering import Template
from backend.data.sources import Account, RawRow, Source
from backend.datafiles import index, reading
from backend.datafiles.formats import Conversation
from backend.datafiles.values import DataRow

NumberedRow = tuple[int, DataRow]  # number of a row in its set (from 0), row
SIDES = ("", "chosen_", "rejected_", "kl_")
TOGETHER = 1000  # rows of a KTO batch, which are paired with each other
POLL_S = 0.2


@dataclass
class LineAccount(Account):
    """An account that also has the line of every row that is left out."""

    each: list[tuple[int, str, str]] = field(default_factory=list)

    def refuse(self, code: str, file: str, line: int) -> None:
        """Count a row that is left out, and note its line."""
        super().refuse(code, file, line)
        self.each.append((line, code, file))


class RowRange(Source):
    """A data set of which only some rows are converted; its first row determines the layout."""

    def __init__(self, name: str, values: Arguments, argument: str = "dataset") -> None:
        """Raises DataError for an unknown set and for a hub that does not answer."""
        entry = dataset_info.find(name, values.dataset_dir, argument)
        super().__init__(entry, values.replace(streaming=False), argument)
        self._wanted: list[NumberedRow] = []
        self._first: list[NumberedRow] = []

    def fetch(self, start: int, count: int) -> tuple[list[NumberedRow], int | None]:
        """Read rows start to start + count; also returns the number of all rows (None: not known
        yet).

        A large text file that is not indexed up to there is indexed first.
        """
        limit = self.values.max_samples
        if isinstance(limit, int):
            count = max(0, min(count, limit - start))
        rows, total = self._page(start, count)
        if total is not None and isinstance(limit, int):
            total = min(total, limit)
        numbered = list(enumerate(rows, start))
        self._first = self._first or (numbered[:1] if start == 0 else [])
        return numbered, total

    def convert(
        self, rows: list[NumberedRow]
    ) -> tuple[list[tuple[int, Conversation]], list[tuple[int, Problem]]]:
        """Convert rows to conversations; also returns the rows that are left out, by number, with
        the reason.

        Raises DataError where the columns are wrong.
        """
        self._first = self._first or self.fetch(0, 1)[0]
        self._wanted = rows
        noted = LineAccount()
        refused: list[tuple[int, Problem]] = []
        converted: list[tuple[int, Conversation]] = []
        try:
            converted = [
                (line - 1, conversation)
                for conversation, _, line in self.conversations(noted)
                if line
            ]
        except DataError as error:
            first = error.problems[0]
            fatal = first.code.startswith("row_")
            if fatal and len(rows) > 1:
                return self._convert_singly(rows)
            if fatal:
                refused = [(rows[0][0], first)]
            elif not noted.each:
                raise
        for line, code, file in noted.each:
            params: Params = {"file": file, "line": line, "count": 1}
            if line:
                refused.append((line - 1, Problem(code=code, params=params)))
        return converted, refused

    def place(self, number: int) -> tuple[str, int]:
        """The file (or id on a hub) and line of a row, for messages."""
        return str(self.entry.path or self.entry.hub_id), number + 1

    def _convert_singly(
        self, rows: list[NumberedRow]
    ) -> tuple[list[tuple[int, Conversation]], list[tuple[int, Problem]]]:
        parts = [self.convert([row]) for row in rows]
        return [each for converted, _ in parts for each in converted], [
            each for _, refused in parts for each in refused
        ]

    def _choose_rows(self) -> Iterator[RawRow]:
        """Yield the first row as line 0, then the rows of the range."""
        for number, row in self._first:
            yield self.place(number)[0], 0, row
        for number, row in self._wanted:
            yield *self.place(number), row

    def _page(self, start: int, count: int) -> tuple[list[dict[str, Any]], int | None]:
        parts = self._hub.fetch_whole() if self._hub else self._files()
        if parts is None:  # a part of a split
            rows = [dict(row) for _, _, row in self._rows()]
            return rows[start : start + count], len(rows)
        while True:
            page = reading.page(parts, start, count)
            if page.rows or page.indexed >= 1.0 or not count:
                return page.rows, page.total
            for part in parts:
                index.build(part)
            if reading.page(parts, start, 1).indexed < 1.0:
                time.sleep(POLL_S)  # another process is indexing it


@dataclass(frozen=True)
class Piece:
    """Rows of one set; offset: the number of the set's first row among those of all sets."""

    row_range: RowRange
    rows: list[NumberedRow]
    offset: int


def find_pieces(values: Arguments, start: int, count: int) -> tuple[list[Piece], int | None]:
    """Find rows start to start + count in the sets of `dataset` one after the other; also returns
    the number of all their rows (None: not known yet). Raises DataError.
    """
    parts: list[Piece] = []
    offset, missing, whole = 0, count, 0
    known = True
    for name in dataset_info.names(values.dataset):
        row_range = RowRange(name, values)
        rows, total = row_range.fetch(max(0, start - offset), missing if known else 0)
        if rows:
            parts.append(Piece(row_range, rows, offset))
            missing -= len(rows)
        known = known and total is not None
        whole += total or 0
        offset += total or 0
    return parts, whole if known else None


@dataclass
class Inspection:
    """One line for each example or refused row, and the conversations and examples behind them;
    total: number of all rows (None: not known yet)."""

    lines: list[dict[str, Any]]
    conversations: list[Conversation]
    examples: list[Example]
    total: int | None


def inspect_rows(values: Arguments, template: Template, start: int, count: int) -> Inspection:
    """Make the lines of rows start to start + count, as they are learned. Raises as Source does."""
    parts, total = find_pieces(values, start, count)
    maker = Maker(values.stage, template, tokens.Policy.of(values))
    seen = Inspection([], [], [], total)
    for piece in parts:
        _inspect_piece(piece, maker, seen)
    kind = packing.kind(values)
    if kind:
        left = [line for line in seen.lines if "refused" in line]
        seen.lines = [*_pack(seen.examples, kind, maker), *left]
    return seen


def _inspect_piece(piece: Piece, maker: Maker, seen: Inspection) -> None:
    """Add the rows of one set to the inspection."""
    conversations, refused = piece.row_range.convert(piece.rows)
    examples: list[Example] = []
    if maker.stage == "kto":
        batches = [_pair_with_partner(piece.row_range, numbered) for numbered in conversations]
    else:
        batches = [conversations] if conversations else []
    for batch in batches:
        made = maker(batch)
        own = {number for number, _ in (batch[:1] if maker.stage == "kto" else batch)}
        examples += [example for example in made.examples if example["place"] in own]
        for number, code in made.refused:
            file, line = piece.row_range.place(number)
            params: Params = {"file": file, "line": line, "count": 1}
            if number in own:
                refused.append((number, Problem(code=code, params=params)))
    by_number = dict(conversations)
    tokenizer = maker.template.tokenizer
    lines = [
        (example["place"], describe_example(example, by_number[example["place"]], tokenizer))
        for example in examples
    ] + [(number, {"refused": problem.to_json()}) for number, problem in refused]
    lines.sort(key=lambda each: each[0])
    seen.lines += [{"row": piece.offset + number, **line} for number, line in lines]
    seen.conversations += [conversation for _, conversation in conversations]
    seen.examples += [{**example, "row": piece.offset + example["place"]} for example in examples]


def _pair_with_partner(
    row_range: RowRange, numbered: tuple[int, Conversation]
) -> list[tuple[int, Conversation]]:
    """The row with the one whose answer it is paired with in training, which is exact while no
    row is left out."""
    start = numbered[0] // TOGETHER * TOGETHER
    batch, _ = row_range.convert(row_range.fetch(start, TOGETHER)[0])
    own = next(at for at, (number, _) in enumerate(batch) if number == numbered[0])
    return [numbered, batch[(own + len(batch) // 2) % len(batch)]]


def describe_example(
    example: Example, conversation: Conversation, tokenizer: Any
) -> dict[str, Any]:
    """The line of an example: for each side its text, ids, labels and tokens."""
    line: dict[str, Any] = {"messages": conversation.messages}
    if conversation.tools:
        line["tools"] = conversation.tools
    if conversation.chosen:
        line |= {"chosen": conversation.chosen, "rejected": conversation.rejected}
    for side in SIDES:
        if f"{side}input_ids" in example:
            line |= _side(side, example, tokenizer)
    rest = ("desirable", "reference", "cut")
    return line | {name: example[name] for name in rest if name in example}


def _side(side: str, example: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    ids = example[f"{side}input_ids"]
    line = {f"{side}text": tokenizer.decode(ids), f"{side}input_ids": ids}
    if f"{side}labels" in example:
        line[f"{side}labels"] = example[f"{side}labels"]
    return line | {f"{side}tokens": [tokenizer.decode([token]) for token in ids]}


def _pack(examples: list[Example], kind: str, maker: Maker) -> list[dict[str, Any]]:
    """Pack these examples among themselves, and return a line for each sequence."""
    limit, tokenizer = maker.policy.cutoff_len, maker.template.tokenizer
    if kind == "blocks":
        made = packing.blocks((example["input_ids"] for example in examples), limit)
        every = sorted({example["row"] for example in examples})
        return [{"rows": every, "packed": kind, **_side("", row, tokenizer)} for row in made]
    lines = []
    for group in packing.bins([example["length"] for example in examples], limit):
        row = packing.join([examples[at] for at in group], kind == "neat")
        rest = {"position_ids": row["position_ids"]} if kind == "neat" else {}
        rows = [examples[at]["row"] for at in group]
        lines.append({"rows": rows, "packed": kind, **_side("", row, tokenizer), **rest})
    return lines
