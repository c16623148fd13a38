"""Run the engine behind the server: loading in the background, answers together, a queue."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from backend.contract.texts.problems import Problem
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.job import Event, Job, Pass, problem_error
from backend.serving.limits import STANDARD, Limits
from backend.serving.metrics import Metrics
from backend.serving.names import BASE
from backend.serving.protocol import ApiError
from backend.serving.reasoning import Style

if TYPE_CHECKING:  # the engine imports torch, which takes seconds: the server answers first
    from backend.serving.engine import Engine


class Service:
    """One thread that loads the model and then answers: together where the model can, else first
    come, first served.

    `load` runs in that thread; `report` is called with None when it is ready, else the problem.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], "Engine"],
        report: Callable[[Problem | None], None] = lambda _: None,
        limits: Limits = STANDARD,
    ) -> None:
        self.name = name
        self.limits = limits
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.problem: Problem | None = None
        self._load = load
        self._report = report
        self._engine: Engine | None = None
        self._jobs: SimpleQueue[Job | Pass] = SimpleQueue()
        self._open: list[list[GenerationRequest]] = []
        self.metrics = Metrics()
        self.metrics.watch_open(lambda: len(self._open))

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
        """The names of models for requests: the model, its further adapters, and beside an adapter
        also its base."""
        base = [BASE] if self.engine().has_adapter else []
        return [self.name, *self.adapters(), *base]

    def adapters(self) -> Sequence[str]:
        """The names of further adapters of the same base; none for an engine without them."""
        return getattr(self.engine(), "adapters", ())

    async def answers(self, requests: list[GenerationRequest]) -> AsyncIterator[Event]:
        """Answer all: yields (index, piece of text) as they come, and (index, Answer) of each.

        All requests share one `cancelled`, which the end of the iteration sets. Raises ApiError
        (429) where too many requests wait already, and errors of the engine.
        """
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

        def put(event: Event | Exception | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        start, has_text = time.monotonic(), False
        with self.waiting(requests):
            self._jobs.put(Job(requests, put))
            while (event := await events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event[1], Answer):
                    self.metrics.count_answer(event[1])
                elif not has_text:
                    has_text = True
                    self.metrics.observe_first_text(time.monotonic() - start)
                yield event

    @contextmanager
    def waiting(self, requests: list[GenerationRequest]) -> Iterator[None]:
        """Within the block, a request of a client counts as open; at its end it is cancelled.

        Raises ApiError (429) where too many requests wait already, and (503) without a model.
        """
        self.engine()
        self.limits.check_waiting(len(self._open))
        self._open.append(requests)
        try:
            yield
        finally:
            self._open.remove(requests)
            _cancel(requests)

    async def compute(self, work: "Callable[[Engine], Any]") -> Any:
        """The result of a pass through the model. Raises its errors."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any) -> None:
            if not future.done():
                future.set_result(result)

        def put(result: Any) -> None:
            loop.call_soon_threadsafe(settle, result)

        self._jobs.put(Pass(work, put))
        result = await future
        if isinstance(result, Exception):
            raise result
        return result

    def cancel(self) -> None:
        """End every answer, running or waiting, within a token."""
        for requests in self._open:
            _cancel(requests)

    def _work(self) -> None:
        try:
            engine = self._load()
        except Exception as error:  # noqa: BLE001 (this thread's outermost edge)
            self._fail(problem_error(error).problems[0])
            return
        self._engine, self.state = engine, "ready"
        self._report(None)
        if engine.joins:
            from backend.serving.scheduler import Scheduler  # imports torch, as the engine has

            Scheduler(engine).run(self._jobs)
        while True:
            _answer_alone(engine, self._jobs.get())

    def _fail(self, problem: Problem) -> None:
        self.problem = problem
        self.state = "failed"
        self._report(problem)


def _cancel(requests: list[GenerationRequest]) -> None:
    for request in requests:
        request.cancelled.set()


def _answer_alone(engine: "Engine", job: Job | Pass) -> None:
    """Answer each request of a job in turn."""
    if isinstance(job, Pass):
        job.run(engine)
        return
    try:
        for index, request in enumerate(job.requests):
            if request.cancelled.is_set():
                job.end(index, Answer(prompt_tokens=0, completion_tokens=0, finish="cancelled"))
            else:
                job.end(index, engine.answer(request, job.show(index)))
    except Exception as error:  # noqa: BLE001 (this thread's outermost edge)
        job.fail(error)
