"""Checkpoints that are whole or not there: room first, manifest last, old ones removed after."""

import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.contract.arguments.field import Value
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import describe_places
from backend.contract.models.model_folder import local
from backend.contract.runs import run_folder
from backend.contract.runs.checkpoints import TRAINER_STATE, check_newer, is_resumable, newest_whole
from backend.contract.texts.problems import DiskFullError, Problem, UsageError
from backend.contract.texts.terminal_text import decimal_size
from backend.model import optimizer_states
from backend.running.failures import is_disk_full
from backend.running.report import Report

MARGIN = 1.2  # times the bytes that a save needs must be free

logger = logging.getLogger(__name__)


@contextmanager
def guard_room(folder: Path, needed: int, torn: Path | None = None) -> Iterator[None]:
    """Guard a save: refuse it where the disk has no room for `needed` bytes.

    Raises DiskFullError with the numbers, before or when a write fails, after removing `torn`.
    """
    require_room(folder, needed)
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        if torn is not None:
            shutil.rmtree(torn, ignore_errors=True)
        raise _disk_full_error(folder, needed) from error


def require_room(folder: Path, needed: int) -> None:
    """Raise DiskFullError unless the disk of `folder` has room for `needed` bytes and a margin."""
    if shutil.disk_usage(folder).free < needed * MARGIN:
        raise _disk_full_error(folder, needed)


def estimate(model: Any, values: Arguments, *, only_model: bool) -> int:
    """Bytes of a checkpoint: the saved weights, and the optimizer's states of those that learn."""
    learned = [each for each in model.parameters() if each.requires_grad]
    saved = learned if hasattr(model, "peft_config") else list(model.parameters())
    weights: int = sum(each.numel() * each.element_size() for each in saved)
    states = optimizer_states.size(values, [each.shape for each in learned], 4)  # float32
    return weights if only_model else weights + states


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sync(folder: Path) -> None:
    """Make every file of a folder survive a power cut."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def rotate(folder: Path, keep: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints beyond `keep`; the best one stays in any case."""
    if not keep:
        return
    saved = run_folder.checkpoints(folder)
    kept_names = {each.path.name for each in saved[-keep:]} | ({Path(best).name} if best else set())
    for each in saved:
        if each.path.name not in kept_names:
            (each.path / run_folder.MANIFEST).unlink(missing_ok=True)  # not offered from here on
            shutil.rmtree(each.path, ignore_errors=True)


def choose(folder: Path, requested: Value, report: Report) -> Path | None:
    """The checkpoint to resume from: the given path, or for "true" and "auto" the newest whole one.

    A damaged one is passed over with a notice; a run's folder stands for its newest. Raises
    UsageError or RunFolderError where the given one is not there, damaged, or holds no optimizer
    state.
    """
    choice = str(requested or "").strip()
    if not choice or choice.lower() == "false":
        return None
    if choice.lower() in {"true", "auto"}:
        return _newest_whole(folder, report)
    path = local(choice)
    if not path.is_dir():
        raise _usage_error("checkpoint_missing", describe_places(choice))
    if (path / run_folder.RUN).is_file():
        return _newest_whole(path, report)
    if (path / run_folder.MANIFEST).exists():
        run_folder.verify(path)
    if not _is_resumable(path):
        raise _usage_error("checkpoint_not_resumable", str(path))
    if path.parent.resolve() == folder.resolve():
        _report_passed_over(check_newer(path), path, report)
    return path


def _newest_whole(folder: Path, report: Report) -> Path:
    newest, problems = newest_whole(folder, _is_resumable)
    _report_passed_over(problems, newest.path if newest else None, report)
    if newest is None:
        raise _usage_error("no_checkpoint", str(folder))
    return newest.path


def _report_passed_over(problems: list[Problem], taken: Path | None, report: Report) -> None:
    """Report which newer checkpoints are damaged, and from which one the run goes on instead."""
    for problem in problems:
        report.notice(dataclasses.replace(problem, notice=True))
    if problems and taken is not None:
        params = {"checkpoint": taken.name}
        report.notice(Problem(code="resumed_earlier", params=params, notice=True))


def step_of(checkpoint: Path) -> int:
    """The step at which a checkpoint was written."""
    return int(json.loads((checkpoint / TRAINER_STATE).read_bytes())["global_step"])


def _is_resumable(path: Path) -> bool:
    return (path / TRAINER_STATE).is_file() and is_resumable(path)


def _usage_error(code: str, path: str) -> UsageError:
    params = {"path": path}
    return UsageError(Problem(code=code, field="resume_from_checkpoint", params=params))


def _disk_full_error(folder: Path, needed: int) -> DiskFullError:
    free = shutil.disk_usage(folder).free
    params = {
        "path": str(folder),
        "needed": decimal_size(needed * MARGIN),
        "free": decimal_size(free),
    }
    return DiskFullError(Problem(code="disk_full", field="output_dir", params=params))
