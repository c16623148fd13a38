"""A cache of values that are read again after some seconds, shared by all visitors."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

CAPACITY = 32

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TimedCache(Generic[Key, Value]):
    """Values by key, read again when they are older than `seconds`, by one reader at a time."""

    def __init__(self, read: Callable[[Key], Value], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key) -> Value:
        """The value, at most `seconds` old."""
        with self._lock:
            when, value = self._kept.pop(key, (-self._seconds, None))
            if value is None or time.monotonic() - when >= self._seconds:
                value = self._read(key)
                when = time.monotonic()
            self._kept[key] = (when, value)
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
            return value

    def forget(self) -> None:
        """Empty the cache, so that the next `get` reads anew."""
        with self._lock:
            self._kept.clear()
