"""Process batches in several processes, in order, with a bounded queue and without hanging."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from backend.contract.base.problems import DataError, Problem

Batch = TypeVar("Batch")
Result = TypeVar("Result")

WAITING = 2  # batches for each worker that are read ahead

_work: Callable[[Any], Any] | None = None  # of a worker process


def map_batches(
    work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int
) -> Iterator[Result]:
    """Yield `work` of each batch, in order; with one worker it runs in this process.

    Raises DataError where a worker process dies (killed for memory, crashed in a library).
    """
    if workers == 1:
        yield from map(work, batches)
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
    waiting: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context(), initializer=_begin, initargs=(work,)
    )
    try:
        for batch in batches:
            waiting.append(pool.submit(_do, batch))
            if len(waiting) > WAITING * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        params = {"workers": workers}
        raise DataError(
            Problem(code="worker_died", field="preprocessing_num_workers", params=params)
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work


def _do(batch: Any) -> Any:
    assert _work is not None
    return _work(batch)
