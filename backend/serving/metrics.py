"""What the server has done so far, in numbers that Prometheus reads from GET /metrics."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from backend.serving.generation_request import Answer

SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
CONTENT_TYPE = CONTENT_TYPE_LATEST

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def make(kind: Any, name: str, about: str, *labels: str, **more: Any) -> Any:
            return kind(f"tuneboard_{name}", about, labels, registry=self._registry, **more)

        self._requests = make(
            Counter, "requests", "HTTP requests that were answered", "address", "status"
        )
        self._seconds = make(
            Histogram, "request_seconds", "Time of a whole request", "address", buckets=SECONDS
        )
        self._first = make(
            Histogram, "first_text_seconds", "Time until the first text", buckets=SECONDS
        )
        self._prompt = make(Counter, "prompt_tokens", "Tokens of prompts that were read")
        self._completion = make(Counter, "completion_tokens", "Tokens that were generated")
        self._answers = make(Counter, "answers", "Answers that have ended", "finish")
        self._open = make(Gauge, "open_requests", "Requests that are answered or wait")

    def count_answer(self, answer: Answer) -> None:
        """Count an answer that has ended."""
        self._prompt.inc(answer.prompt_tokens)
        self._completion.inc(answer.completion_tokens)
        self._answers.labels(answer.finish).inc()

    def count_request(self, address: str, status: int, seconds: float) -> None:
        """Count an HTTP request that has been answered."""
        self._requests.labels(address, str(status)).inc()
        self._seconds.labels(address).observe(seconds)

    def observe_first_text(self, seconds: float) -> None:
        """Take the time from the request to the first text of its answer."""
        self._first.observe(seconds)

    def watch_open(self, count: Callable[[], float]) -> None:
        """Ask this function how many requests are open."""
        self._open.set_function(count)

    def text(self) -> bytes:
        """The numbers as Prometheus reads them."""
        return generate_latest(self._registry)


class Meter:
    """ASGI middleware that counts requests, those that are refused included."""

    def __init__(self, app: App, *, metrics: Metrics, addresses: tuple[str, ...]) -> None:
        self._app = app
        self._metrics = metrics
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it by its address and the status of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 500, time.monotonic()

        async def note_status(message: Scope) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        # Any other path is one address, so that nobody can make up any number of them.
        path = scope["path"]
        address = path if path in self._addresses else "other"
        try:
            await self._app(scope, receive, note_status)
        finally:
            self._metrics.count_request(address, status, time.monotonic() - start)
