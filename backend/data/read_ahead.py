"""Read batches before they are asked for; they wait in memory, up to a limit."""

from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import TypeVar

Batch = TypeVar("Batch", bound=Sized)

LIMIT = 16_000_000  # characters that wait


class ReadAhead(Iterator[Batch]):
    """Batches of rows in their order.

    rows, size: rows, and their characters, that were read by now; ended: that is all of them.
    """

    def __init__(self, batches: Iterator[Batch], measure: Callable[[Batch], int]) -> None:
        """measure: counts the characters of a batch."""
        self.rows = 0
        self.size = 0
        self.ended = False
        self._batches = batches
        self._measure = measure
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._held = 0  # characters of the batches that wait

    def read(self) -> bool:
        """Read one more batch; False where there is none, or LIMIT is reached. Raises as the
        batches do."""
        if self._held >= LIMIT:
            return False
        batch = next(self._batches, None)
        if batch is None:
            self.ended = True
            return False
        size = self._measure(batch)
        self._waiting.append((batch, size))
        self._held += size
        self.size += size
        self.rows += len(batch)
        return True

    def __next__(self) -> Batch:
        if not self._waiting and not self.read():
            raise StopIteration
        batch, size = self._waiting.popleft()
        self._held -= size
        return batch
