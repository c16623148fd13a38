"""Answer the jobs of many clients together: each request joins a batch, and leaves it at its end.

Requests to the tuned model and to its base are two batches, which take turns token by token.
"""

import time
from queue import Empty, SimpleQueue
from typing import NamedTuple

from backend.model.answer_batch import Batch, Row
from backend.serving.engine import Engine
from backend.serving.job import Job, Pass
from backend.serving.writer import Writer

# Clients that ask at once are read in one pass: their requests come within moments of each other.
GATHER_S = 0.005
MOST_GATHER_S = 0.05


class _Place(NamedTuple):
    """Where the tokens of a row go."""

    job: Job
    choice: int
    writer: Writer
    prompt_tokens: int


class Scheduler:
    """Runs an engine whose answers can be generated together."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batches = engine.batches()
        self._places: dict[Row, _Place] = {}

    def run(self, jobs: "SimpleQueue[Job | Pass]") -> None:
        """Answer jobs as they come, without end."""
        while True:
            self.add_arrived(jobs)
            self.step()

    def add_arrived(self, jobs: "SimpleQueue[Job | Pass]") -> None:
        """Add the jobs that have arrived; waits for one where nothing else is to be done."""
        if not self._places:
            self._add(jobs.get())
            self._gather(jobs)
        while not jobs.empty():
            self._add(jobs.get())

    def _gather(self, jobs: "SimpleQueue[Job | Pass]") -> None:
        """Add jobs until none has come for a moment, as one processor reads the requests of several
        clients one after the other."""
        end = time.monotonic() + MOST_GATHER_S
        while time.monotonic() < end:
            try:
                self._add(jobs.get(timeout=GATHER_S))
            except Empty:
                return

    def step(self) -> None:
        """A token for each answer."""
        for batch in self._batches.values():
            if not batch.rows:
                continue
            try:
                for row in batch.step():
                    place = self._places.pop(row)
                    if not place.job.is_over:
                        place.job.end(place.choice, place.writer.finish(place.prompt_tokens))
            except Exception as error:  # noqa: BLE001 (the engine thread's outermost edge)
                self._fail(batch, error)

    def _add(self, job: Job | Pass) -> None:
        if isinstance(job, Pass):
            job.run(self._engine)
            return
        rows: list[tuple[Batch, Row, _Place]] = []
        try:
            for index, request in enumerate(job.requests):
                begun = self._engine.begin(request, job.show(index))
                place = _Place(job, index, begun.writer, len(begun.ids))
                rows.append(
                    (self._batches[self._engine.batch_key(request)], begun.row(request), place)
                )
        except Exception as error:  # noqa: BLE001 (the engine thread's outermost edge)
            job.fail(error)
            return
        for batch, row, place in rows:
            self._places[row] = place
            batch.add(row)

    def _fail(self, batch: Batch, error: Exception) -> None:
        """A fault in a pass: the answers of all its rows end with the error."""
        for row in batch.clear():
            self._places.pop(row).job.fail(error)
