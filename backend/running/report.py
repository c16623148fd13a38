"""The report of a run: status.json, metrics.jsonl, notices, and whether a stop was asked for.

No torch in here: data preparation, evaluation and export report through the same object.
"""

import json
import logging
import math
import os
import time
from pathlib import Path

from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import Problem
from backend.running.failures import Stopped

STOPPABLE = {"loading", "tokenizing", "fitting", "exporting"}  # nothing is lost by ending here
AFTER = {"saving", "evaluating", "uploading"}  # phases that show the step of the one before them
WRITE_EVERY = 1.0  # seconds between two writes of status.json within one phase

logger = logging.getLogger(__name__)


class Report:
    """Writes the status and the metrics of one run; in a group only the first process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writes = os.environ.get("RANK", "0") == "0"
        self.metrics_path = folder / run_folder.METRICS
        self._status: dict[str, object] = {"phase": "loading", "notices": []}
        self._written = 0.0
        self._counted = ""  # the phase that step and total belong to
        self._began: dict[str, tuple[float, int]] = {}  # phase -> time and step of its first step

    def phase(self, name: str) -> None:
        """Say which part of the work begins.

        Step and total stay while what was counted is saved or evaluated. Raises Stopped where a
        stop was asked and there is nothing to save yet.
        """
        self._status["phase"] = name
        if name != self._counted:
            self._status.pop("eta", None)
            if name not in AFTER:
                for key in ("step", "total"):
                    self._status.pop(key, None)
        logger.debug("phase: %s", name)
        self._write()
        self._obey()

    def progress(self, step: int, total: int, **extra: float | str | None) -> None:
        """Say how far the phase is; the remaining seconds (`eta`) follow from the pace so far.

        Raises Stopped as phase does.
        """
        now = time.monotonic()
        self._counted = str(self._status["phase"])
        began, first = self._began.setdefault(self._counted, (now, step))
        done = step - first
        eta = (now - began) / done * (total - step) if done > 0 else None
        self._status |= {"step": step, "total": total, "eta": eta, **extra}
        if now - self._written >= WRITE_EVERY or step >= total:
            self._write()
        self._obey()

    def beat(self) -> None:
        """A sign of life in the midst of what is not counted: a long step, an evaluation."""
        if time.monotonic() - self._written >= WRITE_EVERY:
            self._write()

    def metrics(self, row: Metrics) -> None:
        """Append one row to metrics.jsonl."""
        if self.writes:
            metrics.append(self.metrics_path, row)

    def cut_metrics(self, step: int) -> None:
        """Drop the rows after `step`: a resumed run writes them again."""
        if not self.writes or not self.metrics_path.exists():
            return
        rows, _ = metrics.read(self.metrics_path)
        lines = (metrics.encode(row) for row in rows if row.step <= step)
        write_atomic(self.metrics_path, b"".join(lines))

    def notice(self, problem: Problem) -> None:
        """Something worth knowing that stops nothing: a log line, and shown on the page."""
        notices = self._status["notices"]
        assert isinstance(notices, list)
        if problem.to_json() not in notices:
            if self.writes:
                logger.warning("notice: %s", problem.text())
            notices.append(problem.to_json())
            self._write()

    def stop_requested(self) -> bool:
        """Whether the person asked for a stop."""
        return (self.folder / run_folder.STOP).exists()

    def _obey(self) -> None:
        if self._status["phase"] in STOPPABLE and self.stop_requested():
            raise Stopped

    def _write(self) -> None:
        if self.writes:
            self._written = time.monotonic()
            row = {**self._status, "counted": self._counted, "uptime": processes.uptime()}
            write_atomic(self.folder / run_folder.STATUS, json.dumps(row))


def finite(number: float | None) -> float | None:
    """The number, or None where JSON has no word for it (nan, inf)."""
    return number if number is not None and math.isfinite(number) else None
