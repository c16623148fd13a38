"""Rename or delete an ended run: one that lies in saves/ itself, never one behind a link.

A run that has not ended is left alone, and so is one that such a run reads from.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import find, saves
from backend.contract.launching import launch, recipes
from backend.contract.registry.dataset_info import names
from backend.contract.runs import run_files, run_folder, run_names
from backend.contract.texts.problems import Problem, RunFolderError, TuneboardError

BLOCK = 512  # bytes, the unit of st_blocks whatever the file system's own is


def rename(path: Path, name: str) -> Path:
    """Give an ended run another name; returns its new folder.

    Raises RunFolderError where the name cannot be one, is taken, or the run must be left alone.
    """
    wrong = run_folder.check_name(name)
    if wrong:
        raise RunFolderError(wrong)
    target = path.with_name(name)
    with launch.one_at_a_time():
        _require_free(path)
        if run_folder.read(path).task == launch.RECIPE:  # its stages are found by its name
            raise RunFolderError(Problem(code="recipe_not_renamed", params={"path": str(path)}))
        _require_no_group(path, "recipe_stage_not_renamed")
        if os.path.lexists(target):
            raise RunFolderError(Problem(code="run_name_in_use", params={"path": str(target)}))
        try:
            os.rename(path, target)
            run_files.add(saves(), target)
        except OSError as error:
            raise _failure(path, error) from error
    return target


def delete(path: Path) -> int:
    """Delete an ended run with all that it made; returns how many bytes of disk that frees.

    It leaves the list at once, as its folder is moved aside first. The group of a recipe goes
    without its stages. Raises RunFolderError where the run must be left alone: so must a stage
    whose group is there, which would train it anew once it is resumed.
    """
    with launch.one_at_a_time():
        _require_free(path)
        _require_no_group(path, "recipe_stage_not_deleted")
        try:
            aside = run_folder.move_to_trash(path)
        except OSError as error:
            raise _failure(path, error) from error
    size = measure(aside)
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise _failure(aside, error) from error
    return size


def measure(path: Path) -> int:
    """Measure how many bytes of disk the deletion of a folder frees.

    Links are not followed, and a file that has another name elsewhere stays on the disk.
    """
    sizes: dict[tuple[int, int], int] = {}
    left: dict[tuple[int, int], int] = {}  # names of a file that were not met yet
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                row = os.lstat(os.path.join(folder, file))
            except OSError:  # it has just gone
                continue
            key = (row.st_dev, row.st_ino)
            sizes[key] = row.st_blocks * BLOCK
            left[key] = left.get(key, row.st_nlink) - 1
    return sum(size for key, size in sizes.items() if left[key] <= 0)


def _require_free(path: Path) -> None:
    """Raise RunFolderError where a run must be left alone."""
    if not _lies_in_saves(path):
        params = {"path": str(path), "saves": str(saves())}
        raise RunFolderError(Problem(code="run_not_in_saves", params=params))
    if not run_folder.read(path).ended:
        raise RunFolderError(Problem(code="run_not_ended", params={"path": str(path)}))
    for view in launch.list_going():
        if _reads_from(Arguments.from_known(view.recorded), path):
            params = {"path": str(path), "user": str(view.path)}
            raise RunFolderError(Problem(code="run_in_use", params=params))


def _require_no_group(path: Path, code: str) -> None:
    """Raise RunFolderError with this code where a run is a stage of a group."""
    group = _find_group(path)
    if group is not None:
        params = {"path": str(path), "group": group.name}
        raise RunFolderError(Problem(code=code, params=params))


def _lies_in_saves(path: Path) -> bool:
    """Whether a run's folder is in saves/ without a link on the way."""
    if not path.is_relative_to(saves()) or not (path / run_files.RUN).is_file():
        return False
    return path.resolve() == saves().resolve() / path.relative_to(saves())


def _reads_from(values: Arguments, path: Path) -> bool:
    """Whether a run with these arguments loads weights from a folder of a run."""
    used = (part for field in run_names.NAMING for part in names(values[field]))
    return any(find(part).is_relative_to(path) for part in used)


def _find_group(path: Path) -> Path | None:
    """Find the group of runs that this run is a stage of; None where its recipe cannot be read."""
    for group in (saves() / launch.RECIPES).glob("[!.]*/[!.]*"):
        if not path.name.startswith(f"{group.name}-"):
            continue
        with suppress(TuneboardError, OSError):
            recipe = recipes.read(str(group / run_folder.ARGUMENTS))
            if path in [step.folder for step in recipes.plan(recipe, group.name, {}).steps]:
                return group
    return None


def _failure(path: Path, error: OSError) -> RunFolderError:
    params = {"path": str(path), "reason": error.strerror or str(error)}
    return RunFolderError(Problem(code="run_not_changed", params=params))
