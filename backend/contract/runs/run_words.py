"""Describe the state and the progress of a run in words."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from backend.contract.base.metrics import Metrics
from backend.contract.base.texts import has, t
from backend.contract.runs.run_view import RunView
from backend.contract.runs.states import State

RECENT = 1000  # rows
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Progress(NamedTuple):
    """The progress of a run: a share from 0 to 1 (None while unknown), and its description."""

    share: float | None
    words: str


def state(view: RunView, lang: str) -> str:
    """The state, with the phase of a run that goes on: "Running: training"."""
    word = t(f"state.{view.state.value}", lang)
    phase = f"panel.phase.{view.phase}"
    if view.state != State.RUNNING or not has(phase):
        return word
    return t("panel.state", lang, state=word, phase=t(phase, lang))


def progress(view: RunView, rows: Sequence[Metrics], lang: str) -> Progress:
    """Step of all steps (row of all rows while they are read), epoch, time left and speed."""
    parts = describe_position(view, rows, lang)
    if not view.ended and view.eta is not None:
        parts.append(t("panel.left", lang, time=duration(view.eta)))
    speed = find_pace(rows)
    if speed:
        parts.append(t("panel.speed", lang, speed=f"{speed:,.0f}"))
    done, total = _count(view)
    share = min(1.0, done / total) if total else None
    return Progress(share, " · ".join(parts))


def describe_position(view: RunView, rows: Sequence[Metrics], lang: str) -> list[str]:
    """Step of all steps (row of all rows while they are read), and the epoch, where known."""
    parts, key = [], "panel.rows" if view.rows[1] else "panel.step"
    done, total = _count(view)
    if total:
        parts.append(t(key, lang, step=f"{done:,}", total=f"{total:,}"))
    last = next((row for row in _list_newest(rows) if row.tokens is not None), None)
    if last is not None and last.epoch is not None:
        parts.append(t("panel.epoch", lang, epoch=f"{last.epoch:.2f}"))
    return parts


def find_pace(rows: Sequence[Metrics]) -> float | None:
    """The newest measurement of tokens per second, or None."""
    return next(
        (row.tokens_per_second for row in _list_newest(rows) if row.tokens_per_second), None
    )


def _list_newest(rows: Sequence[Metrics]) -> Iterator[Metrics]:
    """The rows from the newest on, as far back as what they say is of now."""
    return islice(reversed(rows), RECENT)


def _count(view: RunView) -> tuple[int, int]:
    return view.rows if view.rows[1] else (view.step, view.total_steps)


def duration(seconds: float) -> str:
    """A duration in words of digits: 1:05, 2:03:04, 3 d 04:00."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    rest = round(seconds)
    days, rest = divmod(rest, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
