"""A run as the list of all runs holds it: read from its folder, or from the index."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.contract.launching.launch import RECIPE
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.run_folder import Checkpoint, State
from backend.contract.runs.run_summary import RunSummary
from backend.contract.system.files import read_json

TEXTS = ("model", "method", "task", "created", "stage", "export_dir")
NUMBERS = ("sequence", "step", "total_steps")


@dataclass(frozen=True, kw_only=True)
class ListedRun(RunSummary):
    """A run in the list.

    stage       of a training; the default for other tasks
    export_dir  where an export puts its model
    loss        the newest training loss
    resumable   whether it can go on from where it has ended
    """

    stage: str = ""
    export_dir: str = ""
    loss: float | None = None
    resumable: bool = False


def read(folder: str) -> ListedRun:
    """The run in a folder as it is now."""
    path = Path(folder)
    view = run_folder.read(path)
    return ListedRun(
        path=path,
        name=view.name,
        model=view.model,
        method=view.method,
        task=view.task,
        created=view.created,
        sequence=view.sequence,
        state=view.state,
        step=view.step,
        total_steps=view.total_steps,
        stage=view.arguments.stage,
        export_dir=view.arguments.export_dir or "",
        loss=_unify(metrics.newest_loss(path / run_folder.METRICS)),
        resumable=is_resumable(view, run_folder.checkpoints),
    )


def is_resumable(
    view: RunSummary, list_checkpoints: Callable[[Path], Sequence[Checkpoint]]
) -> bool:
    """Whether a run can go on from where it has ended."""
    if not view.ended or view.state == State.SUCCEEDED:
        return False
    return view.task == RECIPE or (view.task == "train" and bool(list_checkpoints(view.path)))


def _unify(loss: float | None) -> float | None:
    """A loss that is no number equals itself only as the same object."""
    return math.nan if loss is not None and math.isnan(loss) else loss


def is_final(run: ListedRun) -> bool:
    """Whether its folder alone says how a run has ended: without exit.json it depends on which
    processes live, and on whether the machine was started anew."""
    return run.ended and bool(read_json(run.path / run_folder.EXIT))


def to_json(run: ListedRun) -> dict[str, Any]:
    """What `from_json` reads, without the folder."""
    fields = {name: getattr(run, name) for name in (*TEXTS, *NUMBERS, "loss", "resumable")}
    return {**fields, "state": run.state.value}


def from_json(folder: str, fields: dict[str, Any]) -> ListedRun:
    """The run in a folder, from what `to_json` has made. Raises ValueError for anything else."""
    loss = fields.get("loss")
    parts: dict[str, Any] = {name: fields.get(name) for name in (*TEXTS, *NUMBERS)}
    is_whole = (
        all(type(parts[name]) is str for name in TEXTS)
        and all(type(parts[name]) is int for name in NUMBERS)
        and (loss is None or type(loss) in {int, float})
    )
    if not is_whole:
        raise ValueError(folder)
    return ListedRun(
        path=Path(folder),
        name=os.path.basename(folder),
        state=State(fields.get("state")),
        loss=_unify(loss),
        resumable=fields.get("resumable") is True,
        **parts,
    )
