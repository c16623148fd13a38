"""What a client asked for, as the engine's thread sees it: requests, and where their events go."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import TuneboardError
from backend.running.failures import explain
from backend.serving.generation_request import Answer, GenerationRequest, Shown

if TYPE_CHECKING:
    from backend.serving.engine import Engine

Event = tuple[int, Shown | Answer]
Put = Callable[[Event | Exception | None], None]

log = logging.getLogger(__name__)


class Job:
    """The choices of one HTTP request. `put` is handed (index, what is shown) and (index, Answer)
    as they come, and at the end None or the error."""

    def __init__(self, requests: list[GenerationRequest], put: Put) -> None:
        self.requests = requests
        self._put = put
        self._open = len(requests)

    def show(self, index: int) -> Callable[[Shown], None]:
        """A function that is handed what is shown of a choice."""
        return partial(self._put_piece, index)

    def end(self, index: int, answer: Answer) -> None:
        """A choice has ended; with the last one, the job."""
        self._put((index, answer))
        self._open -= 1
        if not self._open:
            self._put(None)

    def fail(self, error: Exception) -> None:
        """End the job with an error; one that has ended already stays as it is."""
        if self._open:
            self._open = 0
            self._put(problem_error(error))

    @property
    def is_over(self) -> bool:
        """Whether all has been said: the last answer, or an error."""
        return not self._open

    def _put_piece(self, index: int, shown: Shown) -> None:
        self._put((index, shown))


class Pass:
    """One pass through the model that is no answer: `put` is handed its result, or the error."""

    def __init__(self, work: "Callable[[Engine], Any]", put: Callable[[Any], None]) -> None:
        self._work = work
        self._put = put

    def run(self, engine: "Engine") -> None:
        """Make the pass, between two tokens of the answers that run."""
        try:
            result = self._work(engine)
        except Exception as error:  # noqa: BLE001 (the engine thread's outermost edge)
            result = problem_error(error)
        self._put(result)


def problem_error(error: Exception) -> TuneboardError:
    """An error in words; one that is a fault of ours goes into the log, too."""
    if not isinstance(error, TuneboardError):
        log.error("the engine failed", exc_info=error)
    return explain(error, Arguments())
