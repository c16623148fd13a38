"""Texts about a run for the panel and the list of runs."""

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.contract.folders.home import saves
from backend.contract.runs import run_files
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import RunView, State


def names(views: Sequence[RunView]) -> dict[Path, str]:
    """The names of runs in a list, by folder.

    A run outside saves/<model>/<method>/ is named with its folder where model, method and name are
    ambiguous.
    """
    triples = [(view.model, view.method, view.name) for view in views]
    counts = Counter(triples)
    clear = {
        view.path
        for view, place in zip(views, triples, strict=True)
        if run_files.is_standard(saves(), view.path)
        or (view.path.parts[-3:] == place and counts[place] == 1)
    }
    return {
        view.path: view.name if view.path in clear else f"{view.name} ({view.path})"
        for view in views
    }


TONES = {
    State.QUEUED: "quiet",
    State.STARTING: "busy",
    State.RUNNING: "busy",
    State.STOPPING: "warn",
    State.STOPPED: "quiet",
    State.SUCCEEDED: "good",
}


def tone(view: RunView) -> str:
    """The tone of a run's state in a list: busy, warn, quiet, good or bad."""
    return TONES.get(view.state, "bad")


def stop_key(view: RunView) -> str:
    """The key of what ends a run: one that waits in the queue has done nothing to stop."""
    return "panel.cancel" if view.state is State.QUEUED else "panel.stop"


def steps(view: RunView) -> str:
    """The steps done and all steps, as far as known: "20 / 40", "20" or a dash."""
    if view.total_steps:
        return f"{view.step:,} / {view.total_steps:,}"
    return f"{view.step:,}" if view.step else "–"


def moment(stamp: str) -> str:
    """An ISO time in this machine's zone, to read and to sort: 2026-11-22 21:50."""
    try:
        return f"{datetime.datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "–"


def last_loss(rows: Sequence[Metrics]) -> float | None:
    """The newest training loss, or None."""
    return next((row.loss for row in reversed(rows) if row.loss is not None), None)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table, the titles first. Each cell shows exactly its text."""
    lines = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines[:1], f"|{'---|' * len(rows[0])}", *lines[1:]])


def plain(text: str) -> str:
    """A text as Markdown that shows exactly this text: marks escaped, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
