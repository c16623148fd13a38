"""The conversation of one visitor: the turns of both columns, and whether an answer is on its way.

The page holds the turns as one text, and the columns only show it. So no text has to be read back
from the way in which it is shown.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.services.chat.chat_turns import Turn

SIDES = ("tuned", "base")
ROLES = ("user", "tool", "assistant")


def sides(both: bool) -> Sequence[str]:
    """The columns that answer: the model's own, with the base's beside it or not."""
    return SIDES if both else SIDES[:1]


@dataclass
class Conversation:
    """The turns of each column, {"role": "user", "tool" or "assistant", "content": text}."""

    tuned: list[Turn] = field(default_factory=list)
    base: list[Turn] = field(default_factory=list)

    @classmethod
    def read(cls, text: object) -> "Conversation":
        """The conversation that a page or a browser holds; an empty one for anything else."""
        try:
            held = json.loads(str(text or "{}"))
        except (ValueError, RecursionError):
            held = {}
        held = held if isinstance(held, dict) else {}
        return cls(**{side: _read_turns(held.get(side)) for side in SIDES})

    def text(self) -> str:
        """The conversation as the page holds it; "" where nothing was said."""
        held = {side: self.column(side) for side in SIDES if self.column(side)}
        return json.dumps(held, ensure_ascii=False) if held else ""

    def column(self, side: str) -> list[Turn]:
        """The turns of one column; to be changed in place."""
        return self.tuned if side == "tuned" else self.base

    def ask(self, question: Turn, sides: Sequence[str]) -> None:
        """Put a question at the end of these columns."""
        for side in sides:
            self.column(side).append(dict(question))

    def list_open(self, sides: Sequence[str]) -> list[str]:
        """Those of these columns that end with a question, or an answer without a word."""
        return [side for side in sides if _open_question(self.column(side)) is not None]

    def is_unanswered(self, sides: Sequence[str]) -> bool:
        """Whether each of these columns ends with a question, or an answer without a word."""
        return len(self.list_open(sides)) == len(sides)

    def take_back(self, sides: Sequence[str]) -> Turn | None:
        """Take the unanswered question out of these columns; returns it, None where there is
        none."""
        question = None
        for side in sides:
            turns = self.column(side)
            place = _open_question(turns)
            if place is not None:
                question = turns[place]
                del turns[place:]
        return question

    def drop_answers(self) -> bool:
        """Take the last answer out of each column; returns whether a question is left to answer."""
        for side in SIDES:
            turns = self.column(side)
            while turns and turns[-1]["role"] == "assistant":
                turns.pop()
        return bool(self.tuned or self.base)


def _open_question(turns: Sequence[Turn]) -> int | None:
    """The place of the question at the end that has no answer."""
    place = len(turns) - 1
    while place >= 0 and turns[place]["role"] == "assistant" and not turns[place]["content"]:
        place -= 1
    return place if place >= 0 and turns[place]["role"] != "assistant" else None


def _read_turns(held: object) -> list[Turn]:
    rows = held if isinstance(held, list) else []
    return [
        {"role": row["role"], "content": row["content"]}
        for row in rows
        if isinstance(row, dict)
        and row.get("role") in ROLES
        and isinstance(row.get("content"), str)
    ]


@dataclass
class Talk:
    """The state of one visitor's conversation.

    An answer is requested, begun and stopped by different events, and a stop may come before the
    answer has begun.

    returned    a question that got no answer and is to be put back into its box
    """

    question: int = 0
    state: Literal["idle", "asked", "answering", "cleared"] = "idle"
    returned: Turn | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or will be."""
        return self.state in ("asked", "answering")

    @property
    def waits(self) -> bool:
        """Whether an answer is wanted that has not begun."""
        return self.state == "asked"

    @property
    def cleared(self) -> bool:
        """Whether all turns were removed and no question has been asked since."""
        return self.state == "cleared"

    def ask(self) -> None:
        """Note a question that is to be answered."""
        self.question, self.state, self.returned = self.question + 1, "asked", None

    def begin(self) -> int | None:
        """Begin the answer and return the number of its question; None where none is wanted."""
        if self.state != "asked":
            return None
        self.state = "answering"
        return self.question

    def goes_on(self, question: int) -> bool:
        """Whether the answer to this question is still wanted and not stopped."""
        return self.state == "answering" and self.question == question

    def end(self, question: int) -> None:
        """Note the end of the answer to this question; a later question is not affected."""
        if self.goes_on(question):
            self.state = "idle"

    def stop(self) -> None:
        """Stop the answer."""
        self.state = "idle"

    def clear(self) -> None:
        """Note that all turns were removed, which stops an answer, too."""
        self.state, self.returned = "cleared", None

    def take_returned(self) -> Turn | None:
        """Return the question to be put back into its box, once."""
        question, self.returned = self.returned, None
        return question
