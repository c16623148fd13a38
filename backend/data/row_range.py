"""A few rows of a data set, found by their numbers, as training makes examples of them.

Nothing but these rows is read (backend.datafiles.page), so row 100,000 costs as much as row 0.
Rows that training leaves out stay, with the reason.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend import datafiles
from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import DataError, Params, Problem
from backend.contract.registry import dataset_info
from backend.data import packing, tokens
from backend.data.examples import Example, Maker
from backend.data.rendering import Template
from backend.data.sources import Account, Raw, Source
from backend.datafiles import index
from backend.datafiles.formats import Conversation

Numbered = tuple[int, Mapping[str, Any]]  # number of a row in its set (from 0), row
SIDES = ("", "chosen_", "rejected_", "kl_")
TOGETHER = 1000  # rows of a KTO batch that lend each other their answers, as parts.BATCH
POLL_S = 0.2


@dataclass
class Noted(Account):
    """An account that also knows the line of every row that was left out."""

    each: list[tuple[int, str, str]] = field(default_factory=list)

    def refuse(self, code: str, file: str, line: int) -> None:
        """Note a row that is left out."""
        super().refuse(code, file, line)
        self.each.append((line, code, file))


class Window(Source):
    """A data set of which only some rows are converted; its first row decides on the layout."""

    def __init__(self, name: str, values: Arguments, argument: str = "dataset") -> None:
        """Raises DataError: unknown set, no hub."""
        entry = dataset_info.find(name, values.dataset_dir, argument)
        super().__init__(entry, values.replace(streaming=False), argument)
        self._wanted: list[Numbered] = []
        self._first: list[Numbered] = []

    def fetch(self, start: int, count: int) -> tuple[list[Numbered], int | None]:
        """Rows start to start + count, and how many there are (None: not known yet).

        A large text file that is not indexed up to there yet is indexed first.
        """
        limit = self.values.max_samples
        if isinstance(limit, int):
            count = max(0, min(count, limit - start))
        rows, total = self._page(start, count)
        if total is not None and isinstance(limit, int):
            total = min(total, limit)
        return list(enumerate(rows, start)), total

    def convert(
        self, rows: list[Numbered]
    ) -> tuple[list[tuple[int, Conversation]], list[tuple[int, Problem]]]:
        """Conversations, and the rows that are left out with the reason, by number.

        Raises DataError where the columns are wrong.
        """
        self._first = self._first or self.fetch(0, 1)[0]
        self._wanted = rows
        noted = Noted()
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
                return self._one_by_one(rows)
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
        """File (or id on a hub) and line, as people are told."""
        return str(self.entry.path or self.entry.hub_id), number + 1

    def _one_by_one(
        self, rows: list[Numbered]
    ) -> tuple[list[tuple[int, Conversation]], list[tuple[int, Problem]]]:
        parts = [self.convert([row]) for row in rows]
        return [each for converted, _ in parts for each in converted], [
            each for _, refused in parts for each in refused
        ]

    def _chosen(self) -> Iterator[Raw]:
        """The first row as line 0, then those that are wanted."""
        for number, row in self._first:
            yield self.place(number)[0], 0, row
        for number, row in self._wanted:
            yield *self.place(number), row

    def _page(self, start: int, count: int) -> tuple[list[dict[str, Any]], int | None]:
        parts = self._hub.whole() if self._hub else self._files()
        if parts is None:  # a part of a split
            rows = [dict(row) for _, _, row in self._rows()]
            return rows[start : start + count], len(rows)
        while True:
            page = datafiles.page(parts, start, count)
            if page.rows or page.indexed >= 1.0 or not count:
                return page.rows, page.total
            for part in parts:
                index.build(part)
            if datafiles.page(parts, start, 1).indexed < 1.0:
                time.sleep(POLL_S)  # somebody else is indexing it


@dataclass(frozen=True)
class Piece:
    """Rows of one set; `offset` is the number of its first row among those of all sets."""

    window: Window
    rows: list[Numbered]
    offset: int


def pieces(values: Arguments, start: int, count: int) -> tuple[list[Piece], int | None]:
    """Rows start to start + count of all sets of `dataset` one after the other, and their number.

    Raises DataError.
    """
    parts: list[Piece] = []
    offset, missing, whole = 0, count, 0
    known = True
    for name in dataset_info.names(values.dataset):
        window = Window(name, values)
        rows, total = window.fetch(max(0, start - offset), missing if known else 0)
        if rows:
            parts.append(Piece(window, rows, offset))
            missing -= len(rows)
        known = known and total is not None
        whole += total or 0
        offset += total or 0
    return parts, whole if known else None


@dataclass
class Seen:
    """A line an example or refused row; the conversations and examples behind them."""

    lines: list[dict[str, Any]]
    conversations: list[Conversation]
    examples: list[Example]
    total: int | None


def see(values: Arguments, template: Template, start: int, count: int) -> Seen:
    """The rows as they are learned. Raises DataError as Source does."""
    parts, total = pieces(values, start, count)
    maker = Maker(values.stage, template, tokens.Policy.of(values))
    seen = Seen([], [], [], total)
    for piece in parts:
        _look(piece, maker, seen)
    kind = packing.kind(values)
    if kind:
        left = [line for line in seen.lines if "refused" in line]
        seen.lines = [*_packed(seen.examples, kind, maker), *left]
    return seen


def _look(piece: Piece, maker: Maker, seen: Seen) -> None:
    """Add the rows of one set to what is seen."""
    conversations, refused = piece.window.convert(piece.rows)
    examples: list[Example] = []
    if maker.stage == "kto":
        batches = [_partners(piece.window, numbered) for numbered in conversations]
    else:
        batches = [conversations] if conversations else []
    for batch in batches:
        made = maker(batch)
        own = {number for number, _ in (batch[:1] if maker.stage == "kto" else batch)}
        examples += [example for example in made.examples if example["place"] in own]
        for number, code in made.refused:
            file, line = piece.window.place(number)
            params: Params = {"file": file, "line": line, "count": 1}
            if number in own:
                refused.append((number, Problem(code=code, params=params)))
    by_number = dict(conversations)
    tokenizer = maker.template.tokenizer
    lines = [
        (example["place"], shown(example, by_number[example["place"]], tokenizer))
        for example in examples
    ] + [(number, {"refused": problem.to_json()}) for number, problem in refused]
    lines.sort(key=lambda each: each[0])
    seen.lines += [{"row": piece.offset + number, **line} for number, line in lines]
    seen.conversations += [conversation for _, conversation in conversations]
    seen.examples += [{**example, "row": piece.offset + example["place"]} for example in examples]


def _partners(window: Window, numbered: tuple[int, Conversation]) -> list[tuple[int, Conversation]]:
    """A row, and the one whose answer it gets in training (exact while no row is left out)."""
    start = numbered[0] // TOGETHER * TOGETHER
    batch, _ = window.convert(window.fetch(start, TOGETHER)[0])
    own = next(at for at, (number, _) in enumerate(batch) if number == numbered[0])
    return [numbered, batch[(own + len(batch) // 2) % len(batch)]]


def shown(example: Example, conversation: Conversation, tokenizer: Any) -> dict[str, Any]:
    """What is printed of an example: of each side its text, ids, labels and tokens."""
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


def _packed(examples: list[Example], kind: str, maker: Maker) -> list[dict[str, Any]]:
    """The sequences that these rows make among themselves."""
    limit, tokenizer = maker.policy.cutoff_len, maker.template.tokenizer
    if kind == "blocks":
        made = packing.blocks((example["input_ids"] for example in examples), limit)
        every = sorted({example["row"] for example in examples})
        return [{"rows": every, "packed": kind, **_side("", row, tokenizer)} for row in made]
    lines = []
    for group in packing.bins([example["length"] for example in examples], limit):
        row = packing.joined([examples[at] for at in group], kind == "neat")
        rest = {"position_ids": row["position_ids"]} if kind == "neat" else {}
        rows = [examples[at]["row"] for at in group]
        lines.append({"rows": rows, "packed": kind, **_side("", row, tokenizer), **rest})
    return lines
