"""Checkpoints of a run. Only whole ones are offered: their files match their manifest.

manifest.json is written last: {"step", "epoch", "eval_loss", "files": {name: {"size", "sha256"}}}.
"""

import datetime
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.contract.system.files import dump, read_json, write_atomic
from backend.contract.texts.problems import Problem, RunFolderError

MANIFEST = "manifest.json"
FOLDER = re.compile(r"checkpoint-(\d{1,12})")
TRAINER_STATE = "trainer_state.json"
STATE = ("optimizer.pt", "scheduler.pt")
OF_DEEPSPEED = "latest"  # a file of DeepSpeed that names the folder with the state
GRAIN = 2.0  # seconds, of the coarsest file systems


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files all exist with the right sizes."""

    step: int
    path: Path
    created: str  # ISO time
    eval_loss: float | None = None
    epoch: float | None = None


def write_manifest(folder: Path) -> None:
    """Record size and SHA-256 of every file of a finished checkpoint. This makes it whole."""
    files = {
        name: {"size": path.stat().st_size, "sha256": _sha256(path)}
        for name, path in sorted(_files(folder))
    }
    content = {"step": _step(folder), **_read_trainer_state(folder), "files": files}
    write_atomic(folder / MANIFEST, dump(content))


def checkpoints(path: Path) -> list[Checkpoint]:
    """The whole checkpoints of a run folder, by step. Sizes are compared, no weights are read."""
    return sorted(
        (checkpoint for folder in _folders(path) if (checkpoint := _read_whole(folder))),
        key=lambda each: each.step,
    )


def find_damaged(path: Path) -> list[Problem]:
    """A problem for each checkpoint whose files do not match its manifest."""
    problems = (_size_problem(each) for each in _folders(path) if (each / MANIFEST).exists())
    return [problem for problem in problems if problem]


def verify(folder: Path) -> None:
    """Compare every file with its SHA-256. Raises RunFolderError for the first that differs.

    A process reads a file once, and again only when its size or times have changed.
    """
    problem = _size_problem(folder)
    if problem:
        raise RunFolderError(problem)
    for name, expected in _manifest_files(folder).items():
        try:
            agrees = _cached_sha256(folder / name) == expected.get("sha256")
        except OSError:
            agrees = False
        if not agrees:
            raise RunFolderError(_damage(folder, name))


def newest_whole(
    path: Path, fits: Callable[[Path], bool] = Path.is_dir
) -> tuple[Checkpoint | None, list[Problem]]:
    """The newest checkpoint of a run folder that is whole and `fits`, or None; and the problems of
    newer ones."""
    problems: list[Problem] = []
    for folder in sorted(_folders(path), key=_step, reverse=True):
        if not (folder / MANIFEST).exists():  # the run ended while it was being saved
            continue
        try:
            verify(folder)
        except RunFolderError as error:
            problems += error.problems
            continue
        if fits(folder):
            return _read_whole(folder), problems
    return None, problems


def is_resumable(folder: Path) -> bool:
    """Whether a checkpoint holds the optimizer's state, which save_only_model leaves out.

    One without any trainer state passes here; the trainer refuses it.
    """
    names = (TRAINER_STATE, *STATE)
    present = [(folder / name).is_file() for name in names]
    return not present[0] or all(present) or (folder / OF_DEEPSPEED).is_file()


def check_newer(checkpoint: Path) -> list[Problem]:
    """The problems of newer checkpoints beside this one. Every file is read."""
    problems: list[Problem] = []
    for folder in sorted(_folders(checkpoint.parent), key=_step, reverse=True):
        if _step(folder) > _step(checkpoint) and (folder / MANIFEST).exists():
            try:
                verify(folder)
            except RunFolderError as error:
                problems += error.problems
    return problems


def _step(folder: Path) -> int:
    match = FOLDER.fullmatch(folder.name)
    return int(match[1]) if match else 0


def _read_whole(folder: Path) -> Checkpoint | None:
    row = read_json(folder / MANIFEST)
    if not row or _size_problem(folder):
        return None
    changed = datetime.datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime).astimezone()
    return Checkpoint(
        step=_step(folder),
        path=folder,
        created=changed.isoformat(timespec="seconds"),
        eval_loss=_number(row.get("eval_loss")),
        epoch=_number(row.get("epoch")),
    )


def _size_problem(folder: Path) -> Problem | None:
    """The problem of the first file that is missing, has another size, or is not the saver's."""
    listed = _manifest_files(folder)
    if not listed:
        return _damage(folder, MANIFEST)
    for name, expected in listed.items():
        path = folder / name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if not inside or path.is_symlink() or not path.is_file():
            return _damage(folder, name)
        if path.stat().st_size != expected.get("size"):
            return _damage(folder, name)
    return None


def _damage(folder: Path, name: str) -> Problem:
    params = {"path": str(folder), "file": name[:200]}
    return Problem(code="checkpoint_damaged", field="resume_from_checkpoint", params=params)


def _manifest_files(folder: Path) -> dict[str, dict[str, object]]:
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict) or not all(isinstance(row, dict) for row in files.values()):
        return {}
    return files


def _folders(path: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        if FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield path / entry.name


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file but the manifest, with its name relative to the folder."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            yield name, path


def _read_trainer_state(folder: Path) -> dict[str, float]:
    """The epoch, and the evaluation loss at this very step, from the Trainer's saved state."""
    state = read_json(folder / TRAINER_STATE)
    history = state.get("log_history")
    rows = [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []
    here = [row for row in rows if row.get("step") == state.get("global_step")]
    values = {
        "epoch": _number(state.get("epoch")),
        "eval_loss": next((_number(row["eval_loss"]) for row in here if "eval_loss" in row), None),
    }
    return {name: value for name, value in values.items() if value is not None}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _cached_sha256(path: Path) -> str:
    """The hash, computed once for each state of the file.

    A file that changed less than GRAIN seconds ago is hashed anew: two changes within the grain of
    a file system's clock have the same time.
    """
    stat = path.stat()
    if abs(time.time() - max(stat.st_mtime, stat.st_ctime)) < GRAIN:
        return _sha256(path)
    return _sha256_at(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@lru_cache(maxsize=4096)
def _sha256_at(path: Path, _: tuple[int, ...]) -> str:
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
