"""The losses of a run so far: the newest ones, and the lowest evaluation loss."""

import math
from dataclasses import dataclass
from pathlib import Path

from backend.contract.runs import metrics
from backend.contract.runs.run_files import METRICS

Number = float | str  # a text where it is not finite, see metrics.WORDS


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses in nats a token; None where one was not measured.

    loss            the newest training loss
    eval_loss       the newest evaluation loss
    best_eval_loss  the lowest one, and the step of it
    """

    loss: Number | None = None
    eval_loss: Number | None = None
    best_eval_loss: float | None = None
    best_eval_step: int | None = None


def read_losses(folder: Path) -> Losses:
    """The losses of the run in a folder."""
    rows, _ = metrics.read(folder / METRICS)
    losses = [row.loss for row in rows if row.loss is not None]
    evaluated = [(row.eval_loss, row.step) for row in rows if row.eval_loss is not None]
    best = min((pair for pair in evaluated if math.isfinite(pair[0])), default=None)
    return Losses(
        loss=metrics.plain_number(losses[-1]) if losses else None,
        eval_loss=metrics.plain_number(evaluated[-1][0]) if evaluated else None,
        best_eval_loss=best[0] if best else None,
        best_eval_step=best[1] if best else None,
    )
