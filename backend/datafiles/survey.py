"""Find what is unusual across all rows of a data set; each finding is one notice of a check.

Memory is bounded: only a hash of each text is held, for at most MOST different questions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backend.datafiles import values
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import Layout
from backend.datafiles.turns import Message, find_thought

FIRST = 5  # places that are named
MOST = 500_000  # questions that are remembered: about 100 MB
SEVERAL = 1000  # different answers that are counted: with more they are not all the same
CONSTANT = 0.9  # share of the rows with one answer that is worth a word
FEW = 10  # rows; below it only the same answer in all of them is, from LEAST rows on
LEAST = 3
COLUMNS = 100  # that are counted
EMPTY: tuple[object, ...] = (None, "", [], {})


class Place(NamedTuple):
    """Where a row stands: its file, its line there, and its number in the set, both from 1."""

    file: str
    line: int
    row: int


@dataclass
class Tally:
    """A number of rows, and the places of the first FIRST of them."""

    count: int = 0
    first: list[Place] = field(default_factory=list)

    def add(self, place: Place) -> None:
        """Count one more row."""
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(place)


@dataclass
class Answer(Tally):
    """Rows with the same answer; various: their questions are not all the same."""

    question: int = 0
    various: bool = False


@dataclass(frozen=True)
class Remark:
    """`problem.<code>` with its parameters, and the rows that it is about."""

    code: str
    tally: Tally
    params: Mapping[str, str | int] = field(default_factory=dict)


class Survey:
    """Counts what is unusual in every row and in the conversation that is read from it."""

    def __init__(self) -> None:
        self._unread: dict[str, Tally] = {}
        self._holding = Tally()  # rows with data in a column that is not read
        self._usable = 0
        self._labels = {True: Tally(), False: Tally()}
        self._answers: dict[int, Answer] = {}
        self._answered = 0
        self._alike = Tally()
        self._known: dict[int, object] = {}
        self._against: dict[str, Tally] = {}

    def row(self, place: Place, row: Mapping[str, Any], layout: Layout) -> None:
        """Count the columns of a row that hold data and are not read."""
        unread = [name for name in row if name not in layout.read and row[name] not in EMPTY]
        if unread:
            self._holding.add(place)
        for name in unread:
            if name in self._unread or len(self._unread) < COLUMNS:
                self._unread.setdefault(name, Tally()).add(place)

    def conversation(self, place: Place, conversation: Conversation) -> None:
        """Count repeated and contradicting questions, answers and labels."""
        self._usable += 1
        if conversation.answer is None:
            return
        question = hash(tuple(map(_hash, conversation.asked)))
        answer_hash = _hash(conversation.answer)
        self._answer(place, question, answer_hash)
        if conversation.chosen and conversation.rejected:
            self._pair(place, question, conversation.chosen, conversation.rejected)
        elif conversation.label is not None:
            self._labels[conversation.label].add(place)
            self._compare("labels_differ", place, hash((question, answer_hash)), conversation.label)
        else:
            self._compare("answers_differ", place, question, answer_hash)

    def remarks(self) -> Iterator[Remark]:
        """Yield a remark for each unusual thing that was counted."""
        if self._unread:
            counted = [f"{name[:40]} ({tally.count:,})" for name, tally in self._unread.items()]
            yield Remark("columns_unread", self._holding, {"columns": ", ".join(counted)[:400]})
        for label, code in ((True, "labels_all_good"), (False, "labels_all_bad")):
            if self._labels[label].count and self._labels[label].count == self._usable:
                yield Remark(code, self._labels[label])
        most = max(self._answers.values(), key=lambda tally: tally.count, default=Answer())
        share = CONSTANT if self._answered >= FEW else 1.0
        if most.various and most.count >= max(LEAST, share * self._answered):
            yield Remark("answers_constant", most, {"rows": self._answered})
        if self._alike.count:
            yield Remark("pairs_alike", self._alike)
        for code, tally in self._against.items():
            yield Remark(code, tally, {"limit": MOST})

    def _answer(self, place: Place, question: int, answer_hash: int) -> None:
        self._answered += 1
        if answer_hash in self._answers or len(self._answers) < SEVERAL:
            answer = self._answers.setdefault(answer_hash, Answer(question=question))
            answer.add(place)
            answer.various = answer.various or question != answer.question

    def _pair(self, place: Place, question: int, chosen: Message, rejected: Message) -> None:
        if _bare(chosen) == _bare(rejected):
            self._alike.add(place)
        better, worse = _hash(chosen), _hash(rejected)
        both = hash((question, min(better, worse), max(better, worse)))
        self._compare("pairs_differ", place, both, better)

    def _compare(self, code: str, place: Place, question: int, value: object) -> None:
        """Count a row whose value differs from that of the first row with the same question."""
        if question in self._known or len(self._known) < MOST:
            first = self._known.setdefault(question, value)
            if first != value:
                self._against.setdefault(code, Tally()).add(place)


def _hash(message: Message) -> int:
    calls = message.get("tool_calls")
    more = values.dumps(calls, sort_keys=True, default=str) if calls else ""
    return hash((message["role"], message["content"], find_thought(message), more))


def _bare(message: Message) -> list[str]:
    """The values of a message as texts without white space."""
    texts = (
        each if isinstance(each, str) else values.dumps(each, default=str)
        for each in message.values()
    )
    return ["".join(text.split()) for text in texts]
