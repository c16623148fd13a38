"""Limit the processor time that a template written by others may take.

The processor time of the rendering thread counts, not the time on the wall, since on a busy machine
a good template also waits. One thread watches every rendering of a process.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

SECONDS = 1.5
POLL_S = 0.25  # while something is rendered; to be woken for each rendering would cost more
AGAIN_S = 0.1  # processor time after which a thread that went on is interrupted once more


class RenderTimeoutError(ValueError):
    """A template took longer than SECONDS of processor time."""

    def __init__(self) -> None:
        super().__init__(f"it took longer than {SECONDS:g} s of processor time")


@dataclass(eq=False)
class Watch:
    """One rendering: the thread that does it, its clock, and when (on that clock) it must end."""

    thread: int
    clock: Callable[[], float]
    deadline: float


class Watchdog:
    """Interrupts threads whose rendering takes too long.

    Python code is interrupted between two of its steps, which every Jinja loop consists of.
    """

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()
        self._called = threading.Event()
        self._runs = False

    def begin(self, watch: Watch) -> None:
        """Watch a rendering from now on."""
        with self._lock:
            self._watches.add(watch)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._work, name="render-limit", daemon=True).start()
        if not self._called.is_set():
            self._called.set()

    def end(self, watch: Watch) -> None:
        """End the watch; once this returns the rendering is not interrupted."""
        with self._lock:
            self._watches.discard(watch)

    def _work(self) -> None:
        while True:
            self._called.wait()
            with self._lock:
                rest = min(map(self._check, self._watches), default=None)
                if rest is None:
                    self._called.clear()
            # a thread's own clock is never faster than the one on the wall
            time.sleep(POLL_S if rest is None else min(rest, POLL_S))

    def _check(self, watch: Watch) -> float:
        """The seconds that a rendering has left; it is interrupted where there are none."""
        rest = watch.deadline - watch.clock()
        if rest > 0:
            return rest
        watch.deadline += AGAIN_S - rest
        error = ctypes.py_object(RenderTimeoutError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(watch.thread), error)
        return AGAIN_S


@contextmanager
def limit_rendering(seconds: float = SECONDS) -> Iterator[None]:
    """Raises RenderTimeoutError inside the block after so many seconds of this thread's processor
    time (of time on the wall where the system cannot tell that of another thread).
    """
    thread = threading.get_ident()
    clock = _clock(thread)
    watch = Watch(thread, clock, clock() + seconds)
    watchdog = _watchdog
    watchdog.begin(watch)
    try:
        try:
            yield
        finally:
            watchdog.end(watch)
    except RenderTimeoutError:
        watchdog.end(watch)  # it may have come just while the block ended
        raise


def _clock(thread: int) -> Callable[[], float]:
    """A function that any thread can call for the processor time of a thread, in seconds."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    return partial(time.clock_gettime, time.pthread_getcpuclockid(thread))


def _renew() -> None:
    """Start with a new watchdog after a fork, which copies its memory but not its thread."""
    global _watchdog
    _watchdog = Watchdog()


_watchdog = Watchdog()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
