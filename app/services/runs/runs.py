"""The runs for the page: one look at the disk in a second serves all visitors."""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from app.services.runs.tail import read_before
from app.services.runs.timed_cache import TimedCache
from backend.contract.folders.home import saves
from backend.contract.launching.launch import RECIPE
from backend.contract.runs import metrics, run_folder, run_view
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import Checkpoint, RunView, State

FRESH_S = 1.0
FRESH_VIEW_S = 0.5
FRESH_POINTS_S = 2.0
CAPACITY = 32

_list: TimedCache[Path, list[RunView]] = TimedCache(lambda path: run_folder.runs(path), FRESH_S)
_views: TimedCache[Path, RunView] = TimedCache(lambda path: run_folder.read(path), FRESH_VIEW_S)

_points: TimedCache[Path, list[Checkpoint]] = TimedCache(
    lambda path: run_folder.checkpoints(path), FRESH_POINTS_S
)


def snapshot() -> list[RunView]:
    """All runs, at most a second old. The list is shared: do not change it."""
    return _list.get(saves())


def view(path: Path) -> RunView:
    """One run, at most half a second old."""
    return _views.get(path)


def checkpoints(path: Path) -> list[Checkpoint]:
    """The whole checkpoints of a run, at most two seconds old."""
    return _points.get(path)


def forget() -> None:
    """Empty the caches, after a run was started, stopped or resumed."""
    _list.forget()
    _views.forget()
    _points.forget()


def is_resumable(view: RunView) -> bool:
    """Whether a run can go on from where it has ended."""
    if not view.ended or view.state == State.SUCCEEDED:
        return False
    return view.task == RECIPE or (view.task == "train" and bool(checkpoints(view.path)))


def is_any_going() -> bool:
    """Whether any run has not ended yet."""
    return any(not view.ended for view in snapshot())


def latest(task: str) -> Path | None:
    """Choose the run of this task that is shown first.

    It is the newest one that is running, else the newest one in the queue, else the newest of all.
    """
    views = [view for view in snapshot() if view.task == task]
    if not views:
        return None
    return max(views, key=_rank).path


def _rank(view: RunView) -> tuple[bool, bool, int]:
    return not view.ended, view.state is not State.QUEUED, view.sequence


Low = tuple[float, int]


@dataclass
class History:
    """The metrics of a run so far. It is shared: do not change it.

    count    how many rows lie before `offset`: the list itself grows on
    metrics  the names of the stage's own metrics in the rows
    lowest   (loss, step) of the lowest training loss, best of the lowest evaluation loss
    """

    rows: list[Metrics] = field(default_factory=list)
    count: int = 0
    offset: int = 0
    check: bytes = b""
    metrics: tuple[str, ...] = ()
    lowest: Low | None = None
    best: Low | None = None


_histories: OrderedDict[Path, History] = OrderedDict()
_histories_lock = threading.Lock()


def history(path: Path) -> History:
    """The metrics of the run in the folder `path`. Only new lines are read from the disk."""
    with _histories_lock:
        record = _histories.pop(path, None) or History()
        record = _histories[path] = _extend(path / run_folder.METRICS, record)
        while len(_histories) > CAPACITY:
            _histories.popitem(last=False)
        return record


def _extend(file: Path, known: History) -> History:
    """The history with the new lines; all anew where a resumed run has rewritten the file."""
    if known.offset and read_before(file, known.offset) != known.check:
        known = History()
    rows, offset = metrics.read(file, known.offset)
    if not rows:
        return known
    check = read_before(file, offset)
    new = (name for row in rows for name in row.more)
    names = tuple(dict.fromkeys([*known.metrics, *new]))
    known.rows.extend(rows)  # not copied: there may be a hundred thousand
    return History(
        known.rows,
        len(known.rows),
        offset,
        check,
        names,
        _lowest(known.lowest, ((row.loss, row.step) for row in rows)),
        _lowest(known.best, ((row.eval_loss, row.step) for row in rows)),
    )


def _lowest(known: Low | None, new: Iterable[tuple[float | None, int]]) -> Low | None:
    """Return the lowest finite loss of `known` and `new` with its step, the first of equal ones."""
    finite = [(loss, step) for loss, step in new if loss is not None and math.isfinite(loss)]
    return min([*([known] if known else []), *finite], key=lambda low: low[0], default=None)


def find_folder(name: str) -> Path | None:
    """Find the folder of a run by the path that a browser sent, absolute or relative to saves/.

    Returns None for a path that is not one of the runs listed on the page.
    """
    path = Path(os.path.normpath(saves() / name))
    try:
        real = path.resolve()
        if not (real / run_folder.RUN).is_file():
            return None
    except (OSError, ValueError):  # a name too long; a NUL in it
        return None
    inside = real.is_relative_to(saves().resolve())
    return path if inside or path in run_view.folders(saves()) else None


def log_link(folder: Path) -> str:
    """The address of this run's log for download; "" for a folder outside saves/."""
    inside = folder.is_relative_to(saves())
    return f"own/log?run={quote(str(folder.relative_to(saves())))}" if inside else ""


def log_file(name: str) -> Path | None:
    """The log of a run, named by its path inside saves/; None for any other file."""
    root = saves().resolve()
    try:
        folder = (root / name).resolve()
        log = folder / run_folder.LOG
        inside = folder.is_relative_to(root) and (folder / run_folder.RUN).is_file()
        return log if inside and log.is_file() and not log.is_symlink() else None
    except (OSError, ValueError):  # a name too long; a NUL in it
        return None
