"""Arrow files (IPC file or stream format), record batch by record batch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from backend.contract.system import boundary
from backend.datafiles import arrow_values
from backend.datafiles.refusals import arrow_schema, file_error, refuse_pickled, refuse_pointer


def rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its number from 1."""
    with _open_batches(file) as batches:
        yield from enumerate((row for batch in batches for row in arrow_values.rows(batch)), 1)


def count(file: Path) -> int:
    """How many rows there are; the data itself is not read."""
    with _open_batches(file) as batches:
        return sum(batch.num_rows for batch in batches)


def part(file: Path, start: int, wanted: int) -> Iterator[dict[str, Any]]:
    """Rows `start` (from 0) to `start + wanted`; other batches stay unread in the mapped file."""
    with _open_batches(file) as batches:
        yield from arrow_values.part(batches, start, wanted)


@contextmanager
def _open_batches(file: Path) -> Iterator[Iterator[Any]]:
    import pyarrow

    try:
        refuse_pointer(file)
        refuse_pickled(file, arrow_schema(file))
        with open(file, "rb", opener=boundary.open_file) as stream:
            content = pyarrow.py_buffer(_map_file(stream))
        try:
            opened = pyarrow.ipc.open_file(content)
            yield (opened.get_batch(index) for index in range(opened.num_record_batches))
        except pyarrow.ArrowInvalid:
            yield iter(pyarrow.ipc.open_stream(content))
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise file_error("arrow_broken", file, reason=reason) from None


def _map_file(stream: BinaryIO) -> mmap | bytes:
    """Map an open file into memory; only the parts that are used are read from the disk."""
    return mmap(stream.fileno(), 0, access=ACCESS_READ) if stream.seek(0, os.SEEK_END) else b""
