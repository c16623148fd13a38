"""Texts about a run for the panel and the list of runs."""

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.contract.folders.home import saves
from backend.contract.runs.run_folder import State
from backend.contract.runs.run_summary import RunSummary
from backend.contract.texts.numbers import localize


def names(runs: Sequence[RunSummary]) -> dict[Path, str]:
    """The names of runs in a list, by folder.

    A run outside saves/<model>/<method>/ is named with its folder where model, method and name are
    ambiguous.
    """
    root = saves()
    elsewhere = [run for run in runs if str(run.path) != f"{root}/{_place(run)}"]
    counts = Counter(map(_place, runs)) if elsewhere else {}
    unclear = {
        run.path
        for run in elsewhere
        if not str(run.path).endswith(f"/{_place(run)}") or counts[_place(run)] > 1
    }
    return {
        run.path: f"{run.name} ({run.path})" if run.path in unclear else run.name for run in runs
    }


def _place(run: RunSummary) -> str:
    return f"{run.model}/{run.method}/{run.name}"


TONES = {
    State.QUEUED: "quiet",
    State.STARTING: "busy",
    State.RUNNING: "busy",
    State.STOPPING: "warn",
    State.STOPPED: "quiet",
    State.SUCCEEDED: "good",
}


def tone(view: RunSummary) -> str:
    """The tone of a run's state in a list: busy, warn, quiet, good or bad."""
    return TONES.get(view.state, "bad")


def stop_key(view: RunSummary) -> str:
    """The key of what ends a run: one that waits in the queue has done nothing to stop."""
    return "panel.cancel" if view.state is State.QUEUED else "panel.stop"


def describe_loss(loss: float | None, lang: str) -> str:
    """A loss with four digits behind the point, or a dash."""
    return "–" if loss is None else localize(f"{loss:.4f}", lang)


def steps(view: RunSummary, lang: str) -> str:
    """The steps done and all steps, as far as known: "20 / 40", "20" or a dash."""
    if view.total_steps:
        return localize(f"{view.step:,} / {view.total_steps:,}", lang)
    return localize(f"{view.step:,}", lang) if view.step else "–"


def moment(stamp: str) -> str:
    """An ISO time in this machine's zone, to read and to sort: 2026-11-22 21:50."""
    try:
        return f"{datetime.datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "–"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table, the titles first. Each cell shows exactly its text."""
    lines = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines[:1], f"|{'---|' * len(rows[0])}", *lines[1:]])


def plain(text: str) -> str:
    """A text as Markdown that shows exactly this text: marks escaped, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
