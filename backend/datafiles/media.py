"""Columns that hold pictures, videos and sounds, which are not learned yet."""

from collections.abc import Iterable, Mapping
from typing import Any

from backend.contract.dataset_info import Entry
from backend.datafiles.turns import RowError

COLUMNS = ("images", "videos", "audios", "image", "video", "audio")


def columns(entry: Entry, read: Iterable[str]) -> tuple[str, ...]:
    """The columns that hold media by their names, or by the entry.

    One that is among those that are `read` as something else holds none.
    """
    named = [entry.columns[key] for key in COLUMNS if entry.columns and entry.columns.get(key)]
    return tuple(name for name in dict.fromkeys([*named, *COLUMNS]) if name not in set(read))


def refuse(row: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises RowError where one of these columns holds a picture, a video or a sound."""
    if any(holds(row.get(name)) for name in names):
        raise RowError("row_media")


def holds(value: Any) -> bool:
    """Whether a value of such a column is more than a place for a picture that is not there."""
    if isinstance(value, dict):
        return any(map(holds, value.values()))
    if isinstance(value, list):
        return any(map(holds, value))
    return isinstance(value, str | bytes) and bool(value.strip())
