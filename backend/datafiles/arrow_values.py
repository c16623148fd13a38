"""Convert rows of Arrow tables (Parquet and Arrow files) to values that JSON has.

A struct has all its fields in every row, so a table format puts null where a row had no such key:
a field that is null is left out, however deep. Keys of a map belong to the row and stay, as do
nulls in lists. A type that JSON lacks becomes text (backend.datafiles.values).
"""

import datetime
import decimal
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backend.datafiles import values
from backend.datafiles.values import DataRow

Convert = Callable[[Any], Any]


def rows(batch: Any) -> Iterator[DataRow]:
    """Each row of a pyarrow.RecordBatch; a column that is null stays, as None."""
    converts = {field.name: made for field in batch.schema if (made := _converter(field.type))}
    for row in batch.to_pylist():
        for name, convert in converts.items():
            if row[name] is not None:
                row[name] = convert(row[name])
        yield row


def part(batches: Iterable[Any], start: int, wanted: int) -> Iterator[DataRow]:
    """Rows `start` (from 0) to `start + wanted` of batches; no batch behind them is read."""
    at = 0
    for batch in batches:
        low, high = max(start - at, 0), min(start + wanted - at, batch.num_rows)
        if low < high:
            yield from rows(batch.slice(low, high - low))
        at += batch.num_rows
        if at >= start + wanted:
            return


def _converter(kind: Any) -> Convert | None:
    """The function that converts values of an Arrow type for JSON; None where none is needed."""
    from pyarrow import types

    if types.is_string(kind) or types.is_integer(kind) or types.is_boolean(kind):
        return None
    if types.is_float32(kind) or types.is_float16(kind):
        return _shortest("float32" if types.is_float32(kind) else "float16")
    if types.is_struct(kind):
        return _struct(kind)
    if types.is_map(kind):
        return _map(kind)
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        return _list(_converter(kind.value_type))
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _converter(kind.value_type)
    if getattr(kind, "extension_name", "") == "arrow.json":
        return _parse_json
    return _to_text


def _struct(kind: Any) -> Convert:
    inner = {field.name: _converter(field.type) for field in kind}

    def convert(value: Any) -> Any:
        return {
            name: made(each) if (made := inner[name]) else each
            for name, each in value.items()
            if each is not None
        }

    return convert


def _map(kind: Any) -> Convert:
    key, item = _converter(kind.key_type), _converter(kind.item_type)

    def convert(value: Any) -> Any:
        return {
            str(key(name) if key else name): item(each) if item and each is not None else each
            for name, each in value
        }

    return convert


def _list(inner: Convert | None) -> Convert | None:
    if inner is None:
        return None
    return lambda value: [each if each is None else inner(each) for each in value]


def _shortest(name: str) -> Convert:
    """A short float as the double with the fewest digits: 0.1, not 0.10000000149011612."""
    import numpy

    short = getattr(numpy, name)
    return lambda value: float(str(short(value)))


def _parse_json(value: Any) -> Any:
    """Parse a cell of JSON text, as datasets stores columns whose rows differ in their keys."""
    try:
        return json.loads(value, parse_float=values.number)
    except (ValueError, RecursionError):
        return value


def _to_text(value: Any) -> Any:
    """Write a date, a decimal, bytes and the like as text; bytes that are not text stay bytes."""
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"PT{value.total_seconds():f}".rstrip("0").rstrip(".") + "S"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return _decode(value)
    return value if isinstance(value, str | float | int) else str(value)


def _decode(value: bytes) -> str | bytes:
    try:
        return value if b"\0" in value else value.decode("utf-8")
    except UnicodeDecodeError:
        return value
