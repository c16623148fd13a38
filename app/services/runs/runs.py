"""The runs for the page: one look at the disk in a second serves all visitors."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from app.services.runs.timed_cache import TimedCache
from backend.contract.base import boundary, metrics
from backend.contract.base.home import saves
from backend.contract.base.metrics import Metrics
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import Checkpoint, RunView

FRESH_S = 1.0
FRESH_VIEW_S = 0.5
FRESH_POINTS_S = 2.0
CAPACITY = 32
CHECK_BYTES = 64

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


def is_any_going() -> bool:
    """Whether any run goes on."""
    return any(not view.ended for view in snapshot())


def latest(task: str) -> Path | None:
    """The run of this task to show first: the newest that goes on, else the newest."""
    views = [view for view in snapshot() if view.task == task]
    if not views:
        return None
    return max(views, key=lambda view: (not view.ended, view.sequence)).path


@dataclass
class History:
    """The metrics of a run so far; `version` changes with `rows`. It is shared: do not change it.

    `figures` are the names of the stage's own metrics in the rows.
    """

    rows: list[Metrics] = field(default_factory=list)
    version: int = 0
    offset: int = 0
    check: bytes = b""
    figures: tuple[str, ...] = ()


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
    if known.offset and _before(file, known.offset) != known.check:
        known = History(version=known.version + 1)
    rows, offset = metrics.read(file, known.offset)
    if not rows:
        return known
    check = _before(file, offset)
    new = (name for row in rows for name in row.more)
    figures = tuple(dict.fromkeys([*known.figures, *new]))
    return History([*known.rows, *rows], known.version + 1, offset, check, figures)


def _before(file: Path, offset: int) -> bytes:
    """The last bytes before `offset`, which tell a file that has grown from a rewritten one."""
    try:
        with open(file, "rb", opener=boundary.open_own) as content:
            content.seek(max(0, offset - CHECK_BYTES))
            return content.read(min(offset, CHECK_BYTES))
    except OSError:
        return b""


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
