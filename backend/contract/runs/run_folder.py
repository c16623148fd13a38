"""Create the folder of a run; the other operations on it can be imported from here, too.

It is created exclusively: two starts cannot share one, and nothing that we did not make is touched.
"""

import datetime
import glob
import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from backend.contract.arguments.arguments import resolve, to_yaml
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.names import check_name, check_output_dir
from backend.contract.folders.home import home, saves
from backend.contract.runs.checkpoints import (
    MANIFEST,
    Checkpoint,
    checkpoints,
    find_damaged,
    verify,
    write_manifest,
)
from backend.contract.runs.run_files import (
    ARGUMENTS,
    ATTEMPTS,
    COMMAND,
    EXIT,
    LAUNCH,
    LOCK,
    LOG,
    METRICS,
    NOTIFIED,
    PROBLEM,
    RESULTS,
    RUN,
    STATUS,
    STOP,
    SUPERVISOR_LOG,
    TRASH,
    exit_code,
    request_stop,
)
from backend.contract.runs.run_view import RunView, read, resumption, runs
from backend.contract.runs.states import State
from backend.contract.system.files import dump, read_json, write_atomic
from backend.contract.texts.problems import Problem, RunFolderError

__all__ = [
    "ARGUMENTS",
    "COMMAND",
    "EXIT",
    "LAUNCH",
    "LOG",
    "MANIFEST",
    "METRICS",
    "PROBLEM",
    "RESULTS",
    "RUN",
    "STATUS",
    "STOP",
    "Checkpoint",
    "RunView",
    "State",
    "check_name",
    "check_output_dir",
    "checkpoints",
    "create",
    "dump",
    "exit_code",
    "find_damaged",
    "is_without_result",
    "move_to_trash",
    "read",
    "request_stop",
    "resumption",
    "runs",
    "verify",
    "write_manifest",
]

SCHEMA = 1
ONCE = (RUN, ARGUMENTS, COMMAND, LOCK)  # what `create` writes
# What one attempt leaves; exit.json moves last.
ATTEMPT = (LAUNCH, STATUS, STOP, PROBLEM, NOTIFIED, EXIT)
KEPT = ("checkpoint-*", "*.safetensors", "*.bin", "generated_predictions.jsonl")  # results
PACKAGES = ("tuneboard", "torch", "transformers", "peft", "datasets", "accelerate")


def create(path: Path, *, task: str, values: Values, command: Command, sequence: int = 0) -> None:
    """Make the folder of a run and the files that the launcher writes: all of them, or nothing.

    An empty folder may be used. One that holds anything is refused with RunFolderError, unless it
    is an ended run of ours and the values say to overwrite it or it `is_without_result` (it goes
    to the trash, which run.json notes), or they say to resume in it (what it wrote goes to
    attempts/). Secrets reach no file.
    """
    problem = check_output_dir(str(path))
    if problem:
        raise RunFolderError(problem)
    try:
        with _make_way(path, values) as way, _exclusive(path, reuse=way.reuse):
            row = _row(task, values, command, sequence)
            row["notices"] = [notice.to_json() for notice in way.notices]
            _write(path, task, values, command, row)
    except OSError as error:
        params = {"path": str(path), "reason": error.strerror or str(error)}
        raise RunFolderError(
            Problem(code="output_dir_failed", field="output_dir", params=params)
        ) from error


def archive(path: Path, names: tuple[str, ...] = ATTEMPT) -> list[tuple[Path, Path]]:
    """Move files of an ended attempt to attempts/N/, in this order; returns (from, to) of each."""
    (path / ATTEMPTS).mkdir(mode=0o700, exist_ok=True)
    target = _free(path / ATTEMPTS)
    target.mkdir(mode=0o700)
    moves = [(path / name, target / name) for name in names if (path / name).exists()]
    for source, place in moves:
        os.rename(source, place)
    return moves


def remove(path: Path) -> None:
    """Remove a folder that `create` has just made and in which nothing has run."""
    if (path / ATTEMPTS).exists():
        for name in (*ONCE, SUPERVISOR_LOG):
            (path / name).unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def is_without_result(path: Path) -> bool:
    """Whether a run of ours has ended here without success and before its first checkpoint.

    It holds only its log and its metrics, so the next run of its name may replace it. The group of
    a recipe is without result where all of its stages are.
    """
    begun = (path / LAUNCH).is_file() or (path / EXIT).is_file()  # not just made
    if path.is_symlink() or not begun or not read_json(path / RUN):
        return False
    view = read(path)
    if not view.ended or view.state is State.SUCCEEDED:
        return False
    if view.task == "recipe":
        return all(map(is_without_result, saves().glob(f"*/*/{glob.escape(path.name)}-*")))
    return not any(next(path.glob(name), None) for name in KEPT)


class _Way(NamedTuple):
    """Whether an existing folder is reused, and the notices about the run that was there."""

    reuse: bool = False
    notices: tuple[Problem, ...] = ()


@contextmanager
def _make_way(path: Path, values: Values) -> Iterator[_Way]:
    """Move an ended run aside where the values say so or it has no result, and back if the block
    fails. Raises RunFolderError where it may not be moved.
    """
    asked = resolve(values)
    resume = (asked.resume_from_checkpoint or "").lower() not in {"", "false"}
    overwrite = asked.overwrite_output_dir
    if not _holds_anything(path) or not (resume or overwrite or is_without_result(path)):
        yield _Way()
        return
    if path.is_symlink() or not read_json(path / RUN):
        raise _refusal("output_dir_foreign", path)
    if not read(path).ended:
        raise _refusal("output_dir_running", path)
    moves = archive(path, (*ONCE, *ATTEMPT)) if resume else [(path, move_to_trash(path))]
    params = {"path": str(moves[0][1])} if moves else {}
    replaced = () if resume else (Problem(code="run_replaced", params=params, notice=True),)
    try:
        yield _Way(resume, replaced)
    except BaseException:
        for source, place in reversed(moves):
            os.rename(place, source)
        raise


def move_to_trash(path: Path) -> Path:
    """Move the folder of a run to .trash, where no run is listed; returns its new place. Raises
    OSError."""
    trash = (saves() if path.is_relative_to(saves()) else path.parent) / TRASH
    trash.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = _free(trash, f"{path.name}-")
    os.rename(path, place)
    return place


@contextmanager
def _exclusive(path: Path, *, reuse: bool) -> Iterator[None]:
    """Make the folder for this run alone; it is removed again if the block fails."""
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _take(path, reuse=reuse)
        try:
            path.chmod(0o700)
            yield
        except BaseException:
            for name in ONCE:
                (path / name).unlink(missing_ok=True)
            raise
    except BaseException:
        for each in made:
            if not _remove_empty(each):
                break
        raise


def _take(path: Path, *, reuse: bool) -> None:
    """Make the folder, or take an empty one. Of several starts at once only one gets it."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir() or (_holds_anything(path) and not reuse):
            raise _refusal("output_dir_in_use", path) from None
    try:
        os.close(os.open(path / LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise _refusal("output_dir_in_use", path) from None


def _row(task: str, values: Values, command: Command, sequence: int) -> dict[str, object]:
    """The content of run.json."""
    secret = {name for name, row in FIELDS.items() if row.secret}
    return {
        "schema": SCHEMA,
        "kind": task,
        "arguments": {
            name: value
            for name, value in resolve(values).as_mapping().items()
            if name not in secret
        },
        "argv": list(command.argv),
        "home": str(home()),
        "versions": _versions(),
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "sequence": sequence,
        "token": uuid.uuid4().hex,
    }


def _write(path: Path, task: str, values: Values, command: Command, row: dict[str, object]) -> None:
    write_atomic(path / ARGUMENTS, to_yaml(values, task))
    write_atomic(path / COMMAND, f"#!/bin/sh\n{command.shell()}\n")
    (path / COMMAND).chmod(0o755)
    write_atomic(path / RUN, dump(row))


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _holds_anything(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _free(parent: Path, prefix: str = "") -> Path:
    number = 1
    while (parent / f"{prefix}{number}").exists():
        number += 1
    return parent / f"{prefix}{number}"


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _refusal(code: str, path: Path) -> RunFolderError:
    return RunFolderError(Problem(code=code, field="output_dir", params={"path": str(path)}))
