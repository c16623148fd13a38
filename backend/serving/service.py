"""Run the engine behind the server: loading in the background, one answer at a time, a queue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Literal

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, TuneboardError
from backend.running.failures import explain
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.protocol import ApiError
from backend.serving.reasoning import Style

if TYPE_CHECKING:  # the engine imports torch, which takes seconds: the server answers first
    from backend.serving.engine import Engine

Event = tuple[int, str | Answer]

MAX_WAITING = 16
BASE = "base"

log = logging.getLogger(__name__)


class Service:
    """One thread that loads the model and then answers, first come, first served.

    `load` runs in that thread; `report` is called with None when it is ready, else the problem.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], "Engine"],
        report: Callable[[Problem | None], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.problem: Problem | None = None
        self._load = load
        self._report = report
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
        """The style of the engine's answers; plain text for an engine without one."""
        return getattr(self.engine(), "style", Style())

    @property
    def notices(self) -> Sequence[Problem]:
        """Notices about the loaded model: its template, and the base of its adapter."""
        return getattr(self._engine, "notices", ())

    def models(self) -> list[str]:
        """The names of models for requests: the model, and with an adapter also its base."""
        return [self.name, BASE] if self.engine().has_adapter else [self.name]

    async def answers(self, requests: list[GenerationRequest]) -> AsyncIterator[Event]:
        """Answer each in turn: yields (index, piece of text) as they come, then (index, Answer).

        All requests share one `cancelled`, which the end of the iteration sets. Raises ApiError
        (429) where too many requests wait already, and errors of the engine.
        """
        engine = self.engine()
        if len(self._open) >= MAX_WAITING:
            raise ApiError(429, "too_many_waiting", limit=MAX_WAITING)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

        def put(event: Event | Exception | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        self._open.append(requests)
        self._jobs.put(partial(_answer_all, engine, requests, put))
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
            self._fail(_to_problem_error(error).problems[0])
        else:
            self._report(None)
            while True:
                self._jobs.get()()

    def _fail(self, problem: Problem) -> None:
        self.problem = problem
        self.state = "failed"
        self._report(problem)


def _cancel(requests: list[GenerationRequest]) -> None:
    for request in requests:
        request.cancelled.set()


def _answer_all(
    engine: "Engine", requests: list[GenerationRequest], put: Callable[..., object]
) -> None:
    """Answer each request in turn in the engine's thread; puts None or the error at the end."""
    try:
        for index, request in enumerate(requests):
            if not request.cancelled.is_set():
                put((index, engine.answer(request, partial(_put_piece, put, index))))
    except Exception as error:  # noqa: BLE001 (this thread's outermost edge)
        put(_to_problem_error(error))
    else:
        put(None)


def _put_piece(put: Callable[..., object], index: int, text: str) -> None:
    put((index, text))


def _to_problem_error(error: Exception) -> TuneboardError:
    if not isinstance(error, TuneboardError):
        log.error("the engine failed", exc_info=error)
    return explain(error, Arguments())
