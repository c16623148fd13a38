"""Parquet files, row group by row group."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.contract.system import boundary
from backend.datafiles import arrow_values
from backend.datafiles.refusals import file_error, parquet_schema, refuse_pickled, refuse_pointer

BATCH = 256


def count(file: Path) -> int:
    """How many rows the file says it has."""
    with _open(file) as source:
        return int(source.metadata.num_rows)


def extent(file: Path) -> tuple[int, int]:
    """How many rows and how many unpacked bytes the file says it has."""
    with _open(file) as source:
        groups = range(source.metadata.num_row_groups)
        size = sum(source.metadata.row_group(index).total_byte_size for index in groups)
        return int(source.metadata.num_rows), int(size)


def rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its number from 1."""
    with _open(file) as source:
        batches = source.iter_batches(batch_size=BATCH)
        yield from enumerate((row for batch in batches for row in arrow_values.rows(batch)), 1)


def part(file: Path, start: int, wanted: int) -> Iterator[dict[str, Any]]:
    """Rows `start` (from 0) to `start + wanted`; row groups outside are not read."""
    with _open(file) as source:
        groups = []
        before = skipped = 0
        for index in range(source.metadata.num_row_groups):
            size = source.metadata.row_group(index).num_rows
            if before + size <= start:
                skipped += size
            elif before < start + wanted:
                groups.append(index)
            before += size
        batches = source.iter_batches(batch_size=BATCH, row_groups=groups)
        yield from arrow_values.part(batches, start - skipped, wanted)


@contextmanager
def _open(file: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        refuse_pointer(file)
        with (
            open(file, "rb", opener=boundary.open_file) as stream,
            pyarrow.parquet.ParquetFile(stream) as source,
        ):
            refuse_pickled(file, parquet_schema(source.metadata))
            yield source
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise file_error("parquet_broken", file, reason=reason) from None
