"""A run in the queue: its supervisor waits until the runs before it have ended, then starts it.

The supervisor outlives the page, so that a restart of the page's server changes nothing; the
secrets of the run are in its environment and need no file.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.contract.runs.run_files import STOP
from backend.contract.runs.run_view import read

POLL_SECONDS = 0.5


def wait_for_turn(
    folder: Path, before: Sequence[Path], note: Callable[[Sequence[Path]], None]
) -> bool:
    """Wait until the runs in the folders `before` have ended, whatever came of them.

    `note` is told for which it waits, at first and whenever one has ended. Returns False as soon as
    a stop of the run in `folder` is asked for.
    """
    left = [*before]
    note(left)
    while not (folder / STOP).exists():
        going = [path for path in left if not read(path).ended]
        if not going:
            return True
        if going != left:
            note(going)
        left = going
        time.sleep(POLL_SECONDS)
    return False
