"""Arrow files (IPC file or stream format), record batch by record batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.datafiles import arrow_values
from backend.datafiles.hostile import arrow_schema, refuse_pickled
from backend.datafiles.wrong import wrong


def rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its number from 1."""
    with _batches(file) as batches:
        yield from enumerate((row for batch in batches for row in arrow_values.rows(batch)), 1)


def count(file: Path) -> int:
    """How many rows there are; the data itself is not read."""
    with _batches(file) as batches:
        return sum(batch.num_rows for batch in batches)


def part(file: Path, start: int, wanted: int) -> Iterator[dict[str, Any]]:
    """Rows `start` (from 0) to `start + wanted`; other batches stay unread in the mapped file."""
    at = 0
    with _batches(file) as batches:
        for batch in batches:
            low, high = max(start - at, 0), min(start + wanted - at, batch.num_rows)
            if low < high:
                yield from arrow_values.rows(batch.slice(low, high - low))
            at += batch.num_rows
            if at >= start + wanted:
                return


@contextmanager
def _batches(file: Path) -> Iterator[Iterator[Any]]:
    import pyarrow

    try:
        refuse_pickled(file, arrow_schema(file))
        with pyarrow.memory_map(str(file)) as source:
            try:
                opened = pyarrow.ipc.open_file(source)
                yield (opened.get_batch(index) for index in range(opened.num_record_batches))
            except pyarrow.ArrowInvalid:
                source.seek(0)
                yield iter(pyarrow.ipc.open_stream(source))
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise wrong("arrow_broken", file, reason=reason) from None
