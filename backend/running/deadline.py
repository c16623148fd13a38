"""Calls to a hub, which may stall or break off: a hard deadline and a second try."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

SECONDS = 12.0  # until a hub must have answered; with what comes before it, 15 are promised

ATTEMPTS = 3
PAUSE = 1.0  # seconds before a request is sent again

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


def retry(request: Callable[[], Answer]) -> Answer:
    """Call `request`, again where the connection breaks while a hub answers, and return its result.

    huggingface_hub 2.4 itself does so where it cannot connect or the answer takes too long. A file
    goes on from where it broke off. Raises what `request` raises, of a broken connection the last.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    for attempt in range(1, ATTEMPTS):
        try:
            return request()
        except HfHubHTTPError:  # the hub has answered
            raise
        except HTTPError as error:
            logger.warning("%s; trying again (%d of %d)", error, attempt, ATTEMPTS - 1)
            time.sleep(PAUSE)
    return request()


def answers_in_time(request: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Call `request` and say whether it returned within `seconds`. Raises what it raises.

    It runs in a daemon thread, which is left to itself where it stalls: time-outs of a client do
    not cover a name that is never resolved or bytes that come one by one.
    """
    outcome: list[Exception] = []

    def run() -> None:
        try:
            request()
        except Exception as error:  # noqa: BLE001 (a thread's edge; raised again by the asker)
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome:
        raise outcome[0]
    return not thread.is_alive()
