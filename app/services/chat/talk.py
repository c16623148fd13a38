"""The state of one visitor's conversation: idle, waiting for the model, or being answered."""

from dataclasses import dataclass
from typing import Literal

from app.services.chat.chat_turns import Turn


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
