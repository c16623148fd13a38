"""Notice trouble of a run that goes on: it stands still, it gets worse, the disk fills up.

These are notices and no errors: the run goes on, and the person judges.
"""

from collections.abc import Sequence
from itertools import islice

from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_view import RunView
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import decimal_size

LOW_DISK = 2**30  # bytes
RECENT = 100  # rows
RISING = 3  # evaluations since the best one, each of them higher


def notices(
    view: RunView, rows: Sequence[Metrics], evaluated: Sequence[Metrics]
) -> tuple[Problem, ...]:
    """The notices about trouble of a run; () where it has ended or does well.

    `rows` are its metrics, of which the newest are looked at, and `evaluated` those of them that
    hold an evaluation loss.
    """
    if view.ended:
        return ()
    return (*view.stalls, *_notice_disk(rows), *_notice_evaluation(evaluated))


def _notice_disk(rows: Sequence[Metrics]) -> tuple[Problem, ...]:
    newest = islice(reversed(rows), RECENT)
    free = next((row.disk_free for row in newest if row.disk_free is not None), None)
    if free is None or free >= LOW_DISK:
        return ()
    return (Problem(code="run_disk_low", params={"free": decimal_size(free)}, notice=True),)


def _notice_evaluation(evaluated: Sequence[Metrics]) -> tuple[Problem, ...]:
    """A model that is learned by heart gets worse on rows that it does not learn from."""
    losses = [(row.eval_loss, row.step) for row in evaluated if row.eval_loss is not None]
    if not losses:
        return ()
    best, step = min(losses)
    after = [loss for loss, at in losses if at > step]
    if len(after) < RISING or after[-1] <= best:
        return ()
    params: dict[str, str | int | float] = {
        "best": f"{best:.4f}",
        "step": step,
        "now": f"{after[-1]:.4f}",
    }
    return (Problem(code="run_evaluation_rising", params=params, notice=True),)
