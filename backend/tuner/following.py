"""Follow a run from Python until it ends: its progress is shown, its failure raised as an error.

The progress is a live table in a notebook and plain lines elsewhere.
"""

import html
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from backend.contract.launching import launch
from backend.contract.runs import metrics, run_folder, run_view
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import METRICS, RunView, State
from backend.contract.texts.locales import DEFAULT_LANGUAGE, t
from backend.contract.texts.problems import (
    DataError,
    DiskFullError,
    ModelError,
    OutOfMemoryError,
    Problem,
    RunFolderError,
    TuneboardError,
    UsageError,
)
from backend.contract.texts.terminal_text import say

LANGUAGE = DEFAULT_LANGUAGE
COLUMNS = ("loss", "eval_loss", "learning_rate")
SHOWN = 12  # newest rows in a notebook's table


class Display(Protocol):
    """Shows a run as it goes."""

    def show(self, view: RunView, rows: Sequence[Metrics]) -> None:
        """Show the state of the run and all its metric rows so far."""


def choose_display() -> Display:
    """A display for notebooks in a notebook, else lines on standard error."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return Notebook() if hasattr(shell, "kernel") else Lines()


class Lines:
    """Prints a line for each new state, logged step and notice."""

    def __init__(self) -> None:
        self._printed: set[str] = set()
        self._state = ""
        self._shown = 0

    def show(self, view: RunView, rows: Sequence[Metrics]) -> None:
        """Print what is new since the last call; the first call prints the folder."""
        if not self._state:
            say(t("cli.run_folder", folder=str(view.path)), sys.stderr)
        for notice in (*view.notices, *view.stalls):
            if notice.text() not in self._printed:
                self._printed.add(notice.text())
                say(f"{t('cli.notice')}: {notice.text()}", sys.stderr)
        for row in rows[min(self._shown, len(rows)) :]:
            say(_line(view, row), sys.stderr)
        self._shown = len(rows)
        state = run_view.describe_state(view, LANGUAGE)
        if state != self._state:
            self._state = state
            say(state, sys.stderr)


class Notebook:
    """Redraws one output of a cell: state, progress bar, newest metrics, notices."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = ""

    def show(self, view: RunView, rows: Sequence[Metrics]) -> None:
        """Draw the run again if something has changed."""
        from IPython.display import HTML, display

        drawn = page(view, rows)
        if self._handle is None:
            self._handle = display(HTML(drawn), display_id=True)
        elif drawn != self._drawn:
            self._handle.update(HTML(drawn))
        self._drawn = drawn


def page(view: RunView, rows: Sequence[Metrics]) -> str:
    """The HTML of a run; every text in it is escaped."""
    share, words = run_view.progress(view, rows, LANGUAGE)
    parts = [f"<b>{_escape(run_view.describe_state(view, LANGUAGE))}</b> {_escape(words)}"]
    if share is not None:
        parts.append(f'<progress value="{share:.4f}" max="1" style="width:24em"></progress>')
    columns = [name for name in COLUMNS if any(getattr(row, name) is not None for row in rows)]
    if columns:
        heads = [t("chart.step", LANGUAGE), *(_title(name) for name in columns)]
        lines = [_cells("th", heads)]
        lines += [
            _cells("td", [str(row.step), *(_metric(row, name) for name in columns)])
            for row in rows[-SHOWN:]
        ]
        parts.append(f"<table>{''.join(lines)}</table>")
    parts += [_escape(notice.text()) for notice in (*view.notices, *view.stalls)]
    parts.append(_escape(t("cli.run_folder", LANGUAGE, folder=str(view.path))))
    return "".join(f"<div>{part}</div>" for part in parts)


def _line(view: RunView, row: Metrics) -> str:
    """One line about a logged step: how far the run was, and its metrics."""
    then = replace(view, step=row.step, rows=(0, 0))
    metrics = [f"{_title(name)} {_metric(row, name)}" for name in COLUMNS if _metric(row, name)]
    step = [] if view.total_steps else [f"{_title('step')} {row.step}"]
    words = run_view.progress(then, [row], LANGUAGE).words
    return " · ".join(filter(None, [*step, words, *metrics]))


def _title(name: str) -> str:
    return t("tuner.eval_loss" if name == "eval_loss" else f"chart.{name}", LANGUAGE)


def _metric(row: Metrics, name: str) -> str:
    value = getattr(row, name)
    return "" if value is None else f"{value:.4g}"


def _cells(kind: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{_escape(text)}</{kind}>' for text in texts)}</tr>"


def _escape(text: str) -> str:
    return html.escape(text)


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
