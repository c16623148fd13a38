"""A check of many items in one test: all that fail are reported, and how many were seen."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Item = TypeVar("Item")


def check_each(items: Mapping[str, Item], check: Callable[[Item], None]) -> int:
    """Checks each item and returns their number, for the caller to assert.

    Raises an ExceptionGroup of all failures, each with the name of its item as a note.
    """
    failures: list[Exception] = []
    for name, item in items.items():
        try:
            check(item)
        except Exception as error:  # noqa: BLE001 (raised below, together with the others)
            error.add_note(f"of {name}")
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(items)} items fail", failures)
    return len(items)
