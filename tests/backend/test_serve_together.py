"""Requests of several clients are answered together, each as it would be alone."""

from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from backend.contract.texts.problems import TuneboardError
from backend.model.answer_batch import Batch
from backend.model.generation import Sampling
from backend.serving.engine import Engine
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.job import Event, Job
from backend.serving.scheduler import Scheduler
from backend.serving.token_texts import Logprob
from tests.backend.test_evaluate import adapter_on
from tests.backend.test_serve_process import api_values

WORDS = ("Who are you?", "hello", "What is the capital of France? " * 9, "user")
GREEDY = Sampling(temperature=0, max_tokens=12, repetition_penalty=3.0)
DRAWN = Sampling(temperature=1.5, top_p=1.0, top_k=0, seed=7, max_tokens=9)


@pytest.fixture(scope="module")
def engine(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The tiny model with an adapter that changes its answers."""
    folder = adapter_on(tiny_model_dir, tmp_path_factory.mktemp("adapters") / "tuned")
    return Engine.load(
        api_values(model_name_or_path=str(tiny_model_dir), adapter_name_or_path=str(folder))
    )


def request_of(number: int, **more: Any) -> GenerationRequest:
    """The number-th of some requests: tuned and base, greedy and drawn, of several lengths."""
    options = {
        "messages": [{"role": "user", "content": WORDS[number % len(WORDS)]}],
        "sampling": (GREEDY, GREEDY, DRAWN)[number % 3],
        "tuned": number % 2 == 0,
        **more,
    }
    return GenerationRequest(**options)


class Client:
    """Waits for a job; `log` of all clients has who was told what, in order."""

    def __init__(self, requests: list[GenerationRequest], log: list[tuple["Client", Any]]) -> None:
        self.events: list[Event | Exception | None] = []
        self.job = Job(requests, self._put)
        self._log = log

    def _put(self, event: Event | Exception | None) -> None:
        self.events.append(event)
        self._log.append((self, event))

    def text(self, index: int = 0) -> str:
        """What was said as one choice."""
        events = [event for event in self.events if isinstance(event, tuple)]
        return "".join(each for at, each in events if at == index and isinstance(each, str))

    def answers(self) -> dict[int, Answer]:
        """The ends of the choices."""
        events = [event for event in self.events if isinstance(event, tuple)]
        return {at: each for at, each in events if isinstance(each, Answer)}


def run(scheduler: Scheduler, clients: list[Client]) -> None:
    """Answer these clients, who all ask at once."""
    jobs: SimpleQueue[Job] = SimpleQueue()
    for client in clients:
        jobs.put(client.job)
    scheduler.add_arrived(jobs)
    for _ in range(200):
        scheduler.step()
        if all(client.job.is_over for client in clients):
            return
    raise AssertionError("the jobs have no end")


def test_each_client_hears_what_it_would_hear_alone(engine: Engine) -> None:
    """Tuned and base, greedy and drawn with a seed, all at the same time."""
    assert engine.joins
    log: list[tuple[Client, Any]] = []
    clients = [Client([request_of(number)], log) for number in range(9)]
    run(Scheduler(engine), clients)
    texts = set()
    for number, client in enumerate(clients):
        pieces: list[str] = []
        answer = engine.answer(request_of(number), pieces.append)
        assert client.text() == "".join(pieces), number
        assert client.answers() == {0: answer}
        assert client.events[-1] is None
        texts.add(client.text())
    assert len(texts) > 3
    first_end = next(place for place, (_, event) in enumerate(log) if event is None)
    assert len({id(client) for client, _ in log[:first_end]}) > 3, "the clients take turns"


def test_what_a_request_changes_in_the_scores_is_its_own(engine: Engine) -> None:
    """Penalties, biases and log-probabilities of rows that are generated together."""
    changes: list[dict[str, Any]] = [
        {"frequency_penalty": 1.5, "logprobs": 3},
        {"presence_penalty": 2.0, "logprobs": 0},
        {"logit_bias": ((30, 4.0), (31, -100.0)), "frequency_penalty": -0.5},
        {"logprobs": 20},
    ]

    def requests() -> list[GenerationRequest]:
        return [
            request_of(number, sampling=replace((GREEDY, DRAWN)[number % 2], **change))
            for number, change in enumerate(changes * 2)
        ]

    clients = [Client([each], []) for each in requests()]
    run(Scheduler(engine), clients)
    plain = Client([request_of(2, sampling=GREEDY)], [])
    run(Scheduler(engine), [plain])
    for number, (client, alone) in enumerate(zip(clients, requests(), strict=True)):
        shown: list[Any] = []
        answer = engine.answer(alone, shown.append)
        events = [event for event in client.events if isinstance(event, tuple)]
        together = [each for _, each in events if not isinstance(each, Answer)]
        assert texts_of(together) == texts_of(shown), number
        assert client.answers() == {0: answer}
        ours, others = logprobs_of(together), logprobs_of(shown)
        assert [each.id for each in ours] == [each.id for each in others]
        assert [each.logprob for each in ours] == pytest.approx(
            [each.logprob for each in others], abs=1e-4
        )
        assert bool(ours) == (alone.sampling.logprobs is not None)
    assert clients[2].text() != plain.text()


def texts_of(shown: list[Any]) -> list[str]:
    return [each for each in shown if isinstance(each, str)]


def logprobs_of(shown: list[Any]) -> list[Logprob]:
    return [each for part in shown if isinstance(part, list) for each in part]


class Arrivals(SimpleQueue[Any]):
    """Jobs of which each has come only when somebody waits for it, one after the other."""

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__()
        self._coming = jobs

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next job. Raises Empty where none comes any more."""
        if not self._coming:
            raise Empty
        return self._coming.pop(0)


def test_requests_that_come_one_after_the_other_within_moments_are_read_together(
    engine: Engine,
) -> None:
    """The first of eight clients was read alone, since the engine looked once, 5 ms later, for
    others, and a processor takes longer to read eight requests."""
    log: list[tuple[Client, Any]] = []
    clients = [Client([request_of(0)], log) for _ in range(8)]
    scheduler = Scheduler(engine)
    scheduler.add_arrived(Arrivals([client.job for client in clients]))
    while not log:
        scheduler.step()
    assert {client for client, _ in log} == set(clients)


def test_choices_are_answered_together(engine: Engine) -> None:
    client = Client([request_of(2), request_of(5), request_of(0)], [])
    run(Scheduler(engine), [client])
    for index, number in enumerate((2, 5, 0)):
        pieces: list[str] = []
        answer = engine.answer(request_of(number), pieces.append)
        assert (client.text(index), client.answers()[index]) == ("".join(pieces), answer)
    assert client.events.count(None) == 1


def test_a_refused_prompt_and_a_client_that_leaves_concern_nobody_else(engine: Engine) -> None:
    long = [{"role": "user", "content": "hello " * 3000}]
    gone = request_of(0)
    gone.cancelled.set()
    clients = [Client([each], []) for each in (request_of(0, messages=long), gone, request_of(3))]
    run(Scheduler(engine), clients)
    refused, left, served = clients
    (error,) = refused.events
    assert isinstance(error, TuneboardError)
    assert error.problems[0].code == "prompt_too_long"
    assert left.answers()[0].finish == "cancelled"
    assert left.text() == ""
    pieces: list[str] = []
    engine.answer(request_of(3), pieces.append)
    assert served.text() == "".join(pieces)


def test_after_a_fault_the_next_client_is_served(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Batch) -> None:
        raise ZeroDivisionError("deep inside")

    scheduler = Scheduler(engine)
    with monkeypatch.context() as patched:
        patched.setattr(Batch, "_advance", fail)
        clients = [Client([request_of(number)], []) for number in range(2)]
        run(scheduler, clients)
        for client in clients:
            assert isinstance(client.events[-1], TuneboardError)
    client = Client([request_of(1)], [])
    run(scheduler, [client])
    assert client.answers()[0].finish in {"length", "stop"}
