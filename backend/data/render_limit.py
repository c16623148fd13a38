"""A limit on the time that a template written by others may take."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 1.5


class RenderTimeoutError(ValueError):
    """A template took longer than SECONDS."""

    def __init__(self) -> None:
        super().__init__(f"it took longer than {SECONDS:g} s")


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raises RenderTimeoutError inside the block after so many seconds, in whatever thread it runs.

    Python code is interrupted between two of its steps, which every Jinja loop consists of.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    lock, over = threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not over:
                error = ctypes.py_object(RenderTimeoutError)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()
