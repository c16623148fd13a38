"""What has changed in the rows of a list since a browser read it, so that it gets only that.

A browser sends back the cursor of its last answer. Nothing is remembered of who has asked.
"""

import re
import secrets
from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any, Protocol

FIRST = 100  # rows of a first answer, which come before all others
NUMBER = re.compile(r"\d{1,15}", re.ASCII)
MOST_GONE = 1000  # keys of rows that are gone, as many as are remembered


class Row(Protocol):
    """A row of a list, known by its key."""

    @property
    def key(self) -> str:
        """What tells it from all other rows."""


class ListChanges:
    """The rows of a list as it was read last, each with the version in which it has changed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: Sequence[Row] = ()
        self._begin()

    def _begin(self) -> None:
        """Forget all changes: no cursor is known any more."""
        self._name = secrets.token_hex(8)  # not that of another list or of an earlier server
        self._version = 0
        self._oldest = 0  # the first version since which all changes are known
        self._changed: dict[str, int] = {}
        self._gone: deque[tuple[int, str]] = deque()

    def tell(self, rows: Sequence[Row], cursor: str, *, is_first: bool = False) -> dict[str, Any]:
        """The parts of an answer about the list, which has these rows now.

        rows    those that are new or have changed since the cursor; all of them where it is not
                known, and the upper ones of them where `is_first` asks for no more
        places  where each of them stands once those that are `gone` are out; None where the rows
                stand for all that were there before
        count   the number of all rows
        cursor  what to ask for the next changes with; "" where some rows are still to be asked for
        """
        with self._lock:
            self._take(rows)
            version, now = self._read_cursor(cursor), f"{self._name}-{self._version}"
            if version is None:
                first = rows[:FIRST] if is_first else rows
                now = now if len(first) == len(rows) else ""
                return {
                    "rows": first,
                    "places": None,
                    "gone": [],
                    "count": len(rows),
                    "cursor": now,
                }
            places = self._list_changed(version)
            return {
                "rows": [rows[place] for place in places],
                "places": places,
                "gone": [key for when, key in self._gone if when > version],
                "count": len(rows),
                "cursor": now,
            }

    def _read_cursor(self, cursor: str) -> int | None:
        """The version of a cursor; None where what has changed since is not known."""
        name, _, number = cursor.partition("-")
        if name != self._name or not NUMBER.fullmatch(number):
            return None
        return int(number) if self._oldest <= int(number) <= self._version else None

    def _list_changed(self, version: int) -> list[int]:
        if version == self._version:
            return []
        changed = self._changed
        return [place for place, row in enumerate(self._rows) if changed.get(row.key, 0) > version]

    def _take(self, rows: Sequence[Row]) -> None:
        """Note what is new, other or gone in these rows."""
        if rows is self._rows:
            return
        before, now = ({row.key: row for row in each} for each in (self._rows, rows))
        self._rows = rows
        if [key for key in before if key in now] != [key for key in now if key in before]:
            self._begin()
            return
        changed = [key for key, row in now.items() if before.get(key) != row]
        gone = before.keys() - now.keys()
        if not changed and not gone:
            return
        self._version += 1
        self._changed |= dict.fromkeys(changed, self._version)
        for key in gone:
            self._changed.pop(key, None)
            self._gone.append((self._version, key))
        while len(self._gone) > MOST_GONE:
            self._oldest = self._gone.popleft()[0]
