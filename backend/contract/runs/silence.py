"""Whether a run that goes on has fallen silent: for how long, and in the midst of what.

A trainer gives a sign of life with each step, batch of an evaluation, logged row and line of its
log. Some work is silent for good reasons (a large model is loaded, a first step is compiled), so
nothing here is an error: it says how long nothing was heard and leaves the judgement to the person.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from backend.contract.base import metrics, processes
from backend.contract.base.problems import Problem
from backend.contract.base.processes import Process
from backend.contract.base.run_files import LOG, METRICS

SILENT_SECONDS = 300.0  # nothing heard for so long is said
SLOW_STEPS = 5  # where steps are slow: nothing heard for as long as so many of them took
PAUSED_SECONDS = 10.0  # a process that a signal has stopped is said sooner
CODES = {
    "loading": "run_silent_loading",
    "tokenizing": "run_silent_tokenizing",
    "training": "run_silent_training",
    "evaluating": "run_silent_evaluating",
    "saving": "run_silent_saving",
}


def notices(
    path: Path, status: Mapping[str, object], launch: Mapping[str, object], token: str
) -> tuple[Problem, ...]:
    """What is to be said of the silence of a run whose child lives; () while it is heard of."""
    silent = seconds(path, status, launch)
    if silent < PAUSED_SECONDS:
        return ()
    child = Process.from_json(launch.get("child"))
    paused = processes.find_paused(child, token) if child else None
    phase, step, total = status.get("phase"), status.get("step"), status.get("total")
    limit = SILENT_SECONDS
    if phase == "training":
        limit = max(limit, SLOW_STEPS * metrics.seconds_per_step(path / METRICS))
    if paused is None and silent < limit:
        return ()
    code = CODES.get(str(phase), "run_silent")
    if phase == "training" and not step:
        code = "run_silent_first_step"
    params = {"time": _format_duration(silent), "step": _whole(step), "total": _whole(total)}
    notice = Problem(code=code, params=params, notice=True)
    if paused is None:
        return (notice,)
    return notice, Problem(code="run_paused", params={"pid": paused.pid}, notice=True)


def seconds(path: Path, status: Mapping[str, object], launch: Mapping[str, object]) -> float:
    """Since the last sign of life, whatever was done to the clock meanwhile."""
    noted = [row.get("uptime") for row in (status, launch)]
    signs = [float(each) for each in noted if isinstance(each, int | float)]
    since = [processes.uptime() - each for each in signs]
    for name in (LOG, METRICS):
        try:
            since.append(time.time() - os.stat(path / name).st_mtime)
        except OSError:
            continue
    return max(0.0, min(since, default=0.0))


def _format_duration(count: float) -> str:
    return f"{count:.0f} s" if count < 120 else f"{count / 60:.0f} min"


def _whole(value: object) -> str | int | float:
    return value if type(value) is int else 0
