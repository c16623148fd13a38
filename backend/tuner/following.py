"""Follow a run from Python until it ends, and raise its failure as an error."""

import sys
import time
from pathlib import Path

from backend.contract.base import metrics
from backend.contract.base.metrics import Metrics
from backend.contract.base.problems import (
    DataError,
    DiskFullError,
    ModelError,
    OutOfMemoryError,
    Problem,
    RunFolderError,
    TuneboardError,
    UsageError,
)
from backend.contract.base.terminal_text import say
from backend.contract.base.texts import t
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import METRICS, RunView, State
from backend.tuner.display import choose_display

POLL_S = 0.2
ERRORS = {
    error.exit_code: error
    for error in (
        UsageError,
        DataError,
        ModelError,
        OutOfMemoryError,
        DiskFullError,
        RunFolderError,
    )
}


def follow(folder: Path) -> RunView:
    """Wait for the end of a run and show its progress meanwhile; returns the ended run.

    The first KeyboardInterrupt asks it to save and stop, and is waited for; the second leaves it
    running and is raised. Raises the run's own reason where it has failed.
    """
    display, stop_requested = choose_display(), False
    rows: list[Metrics] = []
    offset = 0
    while True:
        try:
            view = run_folder.read(folder)
            new, offset = metrics.read(folder / METRICS, offset)
            if new and rows and new[0].step < rows[-1].step:  # a resumed run has taken steps back
                rows = [row for row in rows if row.step < new[0].step]
            rows += new
            display.show(view, rows)
            if view.ended:
                break
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if stop_requested:
                say(t("cli.left_running", folder=str(folder)), sys.stderr)
                raise
            stop_requested = True
            launch.stop(folder)
            say(t("tuner.stopping"), sys.stderr)
    require_success(view)
    return view


def require_success(view: RunView) -> None:
    """Raises the run's own error unless it has succeeded or was stopped."""
    if view.state in {State.SUCCEEDED, State.STOPPED}:
        return
    reason = view.reason or Problem(code="run_failed", params={"code": 1})
    kind = ERRORS.get(run_folder.exit_code(view.path), TuneboardError)
    error = kind(reason, *view.more)
    error.add_note(t("tuner.log", path=str(view.path / run_folder.LOG)))
    resumable = run_folder.resumption(view)
    if resumable is not None:
        error.add_note(resumable.text())
    raise error
