"""What was said in the Chat tab: the turns of both columns, which the page holds as one text.

The columns only show it. So no text has to be read back from the way in which it is shown.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

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

    def is_unanswered(self, sides: Sequence[str]) -> bool:
        """Whether each of these columns ends with a question, or an answer without a word."""
        return all(_open_question(self.column(side)) is not None for side in sides)

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
