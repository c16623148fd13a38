"""A question that may stall (a hub behind a bad line), asked under a hard deadline."""

import threading
from collections.abc import Callable

SECONDS = 12.0  # until a hub must have answered; with what comes before it, 15 are promised


def answered(ask: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Whether `ask` came back within `seconds`; what it raises is raised here.

    It runs in a daemon thread, which is left to itself where it stalls: time-outs of a client do
    not cover a name that is never resolved or bytes that come one by one.
    """
    outcome: list[Exception] = []

    def run() -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 (a thread's edge; raised again by the asker)
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome:
        raise outcome[0]
    return not thread.is_alive()
