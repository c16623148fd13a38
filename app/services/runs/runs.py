"""The runs for the page: one look at the disk in a second serves all visitors."""

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from app.services.runs import listed_run
from app.services.runs.listed_run import ListedRun
from app.services.runs.run_list import RunList, Snapshot
from app.services.runs.timed_cache import TimedCache
from backend.contract.folders.home import saves
from backend.contract.runs import run_files, run_folder
from backend.contract.runs.run_folder import Checkpoint, RunView, State

FRESH_S = 1.0
FRESH_VIEW_S = 0.5
FRESH_POINTS_S = 2.0

_run_lists = lru_cache(maxsize=4)(RunList)
_list: TimedCache[Path, Snapshot] = TimedCache(lambda path: _run_lists(path).look(), FRESH_S)
_views: TimedCache[Path, RunView] = TimedCache(lambda path: run_folder.read(path), FRESH_VIEW_S)

_points: TimedCache[Path, list[Checkpoint]] = TimedCache(
    lambda path: run_folder.checkpoints(path), FRESH_POINTS_S
)


def snapshot() -> Snapshot:
    """All runs, at most a second old."""
    return _list.get(saves())


def list_runs() -> list[ListedRun]:
    """All runs, the newest first. The list is shared: do not change it."""
    return snapshot().runs


def view(path: Path) -> RunView:
    """One run, at most half a second old."""
    return _views.get(path)


def checkpoints(path: Path) -> list[Checkpoint]:
    """The whole checkpoints of a run, at most two seconds old."""
    return _points.get(path)


def forget() -> None:
    """Empty the caches, after a run was started, stopped or resumed."""
    _run_lists(saves()).expect_changes()
    _list.forget()
    _views.forget()
    _points.forget()


def is_resumable(view: RunView) -> bool:
    """Whether a run can go on from where it has ended."""
    return listed_run.is_resumable(view, checkpoints)


def is_any_going() -> bool:
    """Whether any run has not ended yet."""
    return any(not run.ended for run in list_runs())


def latest(task: str) -> Path | None:
    """Choose the run of this task that is shown first.

    It is the newest one that is running, else the newest one in the queue, else the newest of all.
    """
    candidates = [run for run in list_runs() if run.task == task]
    return max(candidates, key=_rank).path if candidates else None


def _rank(run: ListedRun) -> tuple[bool, bool, int]:
    return not run.ended, run.state is not State.QUEUED, run.sequence


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
    inside = real.is_relative_to(saves().resolve()) or run_files.is_standard(saves(), path)
    return path if inside or path in run_files.list_runs(saves()) else None


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
