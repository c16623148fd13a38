"""Notice when a run gives no sign of life: for how long, and in which phase.

Signs of life are steps, batches of an evaluation, lines of metrics and lines of the log. Some work
is silent for good reasons (a large model is loaded, a first step is compiled), so these are notices
and no errors: the person judges.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from backend.contract.runs import metrics
from backend.contract.runs.run_files import LOG, METRICS
from backend.contract.system import processes
from backend.contract.system.processes import Process
from backend.contract.texts.problems import Problem

SILENT_SECONDS = 300.0  # a notice comes after so long without a sign of life
SLOW_STEPS = 5  # where steps are slow, the notice waits for the time of so many steps
PAUSED_SECONDS = 10.0  # the notice of a process that a signal has paused comes sooner
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
    """The notices about the stall of a run whose child lives; () while it gives signs of life."""
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
    """The seconds since the last sign of life, independent of changes of the clock."""
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
