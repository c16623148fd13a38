"""The engine behind the server: loaded in the background, one answer at a time, a bounded queue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Literal

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Problem, TuneboardError
from backend.running.failures import explain
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.protocol import ApiError
from backend.serving.reasoning import Style

if TYPE_CHECKING:  # the engine brings torch, seconds of import: the server answers before
    from backend.serving.engine import Engine

Event = tuple[int, str | Answer]

MAX_WAITING = 16
BASE = "base"

log = logging.getLogger(__name__)


class Service:
    """One thread that loads the model and then answers, first come, first served.

    `load` runs in that thread; `told` hears of the outcome: None when ready, else the problem.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], "Engine"],
        told: Callable[[Problem | None], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.problem: Problem | None = None
        self._load = load
        self._told = told
        self._engine: Engine | None = None
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._open: list[list[GenerationRequest]] = []

    def start(self) -> None:
        """Begin to load. The thread is a daemon, so that ending the process never waits for it."""
        Thread(target=self._work, name="engine", daemon=True).start()

    def engine(self) -> "Engine":
        """The engine; raises ApiError (503) while it loads or when loading failed."""
        if self._engine is None:
            if self.problem is not None:
                raise ApiError(503, "model_failed", reason=self.problem.text())
            raise ApiError(503, "model_loading")
        return self._engine

    def style(self) -> Style:
        """How the engine's answers are written; one that does not say writes plain text."""
        return getattr(self.engine(), "style", Style())

    @property
    def notices(self) -> Sequence[Problem]:
        """What should be known of the loaded model: its template, and how its adapter fits."""
        return getattr(self._engine, "notices", ())

    def models(self) -> list[str]:
        """The names that a request may give: the model, and with an adapter also its base."""
        return [self.name, BASE] if self.engine().has_adapter else [self.name]

    async def answers(self, requests: list[GenerationRequest]) -> AsyncIterator[Event]:
        """Answer each in turn: (index, piece of text) as they come, then (index, Answer).

        All requests share one `cancelled`; leaving the iteration sets it. Raises ApiError (429)
        where too many wait already, and whatever the engine raises.
        """
        engine = self.engine()
        if len(self._open) >= MAX_WAITING:
            raise ApiError(429, "too_many_waiting", limit=MAX_WAITING)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

        def tell(event: Event | Exception | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        self._open.append(requests)
        self._jobs.put(partial(_answer_all, engine, requests, tell))
        try:
            while (event := await events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._open.remove(requests)
            _cancel(requests)

    def cancel(self) -> None:
        """End every answer, running or waiting, within a token."""
        for requests in self._open:
            _cancel(requests)

    def _work(self) -> None:
        try:
            self._engine = self._load()
            self.state = "ready"
        except Exception as error:  # noqa: BLE001 (this thread's outermost edge)
            self._fail(_explained(error).problems[0])
        else:
            self._told(None)
            while True:
                self._jobs.get()()

    def _fail(self, problem: Problem) -> None:
        self.problem = problem
        self.state = "failed"
        self._told(problem)


def _cancel(requests: list[GenerationRequest]) -> None:
    for request in requests:
        request.cancelled.set()


def _answer_all(
    engine: "Engine", requests: list[GenerationRequest], tell: Callable[..., object]
) -> None:
    """Each request in turn, in the engine's thread; None is told at the end, or what went wrong."""
    try:
        for index, request in enumerate(requests):
            if not request.cancelled.is_set():
                tell((index, engine.answer(request, partial(_tell_piece, tell, index))))
    except Exception as error:  # noqa: BLE001 (this thread's outermost edge)
        tell(_explained(error))
    else:
        tell(None)


def _tell_piece(tell: Callable[..., object], index: int, text: str) -> None:
    tell((index, text))


def _explained(error: Exception) -> TuneboardError:
    if not isinstance(error, TuneboardError):
        log.error("the engine failed", exc_info=error)
    return explain(error, Arguments())
