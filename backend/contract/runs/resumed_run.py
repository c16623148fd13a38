"""The arguments of a run that is resumed in its own folder, from its newest checkpoint.

Arguments that name another folder or another checkpoint are refused.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import output, relative
from backend.contract.models.model_folder import local
from backend.contract.runs.checkpoints import FOLDER, MANIFEST, verify
from backend.contract.runs.resuming import FIELD, NEWEST, checkpoint_of
from backend.contract.runs.run_files import ARGUMENTS
from backend.contract.runs.run_view import RunView
from backend.contract.texts.problems import Problem, RunFolderError


def arguments_of(
    view: RunView, changes: Mapping[str, object] | None = None
) -> tuple[Values, list[Problem]]:
    """The arguments of a training's run.json with `changes` applied, for a training that is resumed
    in its folder; and the problems of the changes."""
    known = {n: v for n, v in view.recorded.items() if n in FIELDS and "train" in FIELDS[n].tasks}
    raw: dict[str, object] = {name: value for name, value in {**known, **of_run(view.path)}.items()}
    values, problems = parse({**raw, **(changes or {})}, "train")
    values, elsewhere = in_own_folder(values, view.path)
    return values, problems + elsewhere


def of_run(path: Path) -> Values:
    """The values that resume a training in this folder from its newest checkpoint."""
    return {"output_dir": relative(path), "overwrite_output_dir": False, FIELD: NEWEST[0]}


def in_own_folder(values: Values, path: Path) -> tuple[Values, list[Problem]]:
    """The values for a training that is resumed in the folder `path`, and a problem for each that
    names another folder, or another checkpoint than the newest whole one."""
    arguments = resolve(values)
    folder = output(arguments.output_dir or str(path))
    elsewhere = {
        "output_dir": folder.resolve() != path.resolve(),
        "overwrite_output_dir": arguments.overwrite_output_dir,
    }
    params = {"path": relative(path), **_way(path)}
    problems = [
        Problem(code="resume_other_folder", field=name, params=params)
        for name, differs in elsewhere.items()
        if differs
    ]
    point = (arguments.resume_from_checkpoint or "").strip()
    if point.lower() not in NEWEST:
        problems += _other_checkpoint(point, path)
    return {**values, **of_run(path)}, problems


def _other_checkpoint(point: str, path: Path) -> list[Problem]:
    """The problem of resuming from `point`: a path, or the name of a checkpoint of the run.

    Only the newest whole checkpoint is accepted. Behind an older one the later checkpoints would
    stay in the folder and be taken for the newest of the resumed run.
    """
    newest = checkpoint_of(resolve(of_run(path)))[0]
    if newest is None:
        return []  # reported by the check of the paths
    folder = path / point if FOLDER.fullmatch(point) else local(point)
    params = {"path": point[:200] or "false", "run": relative(path), "newest": newest.name}
    if folder.resolve().parent != path.resolve() or not (folder / MANIFEST).is_file():
        return [Problem(code="resume_not_of_run", field=FIELD, params={**params, **_way(path)})]
    try:
        verify(folder)
    except RunFolderError as error:
        return list(error.problems)
    if folder.resolve() == newest.resolve():
        return []
    return [Problem(code="resume_older", field=FIELD, params={**params, **_way(path, folder)})]


def _way(path: Path, checkpoint: Path | None = None) -> dict[str, str]:
    """The command that resumes from a checkpoint of the run in another folder."""
    words = ["tuneboard", "train", relative(path / ARGUMENTS)]
    words += [f"--{FIELD}", relative(checkpoint or path)]
    return {"command": f"{shlex.join(words)} --output_dir"}
