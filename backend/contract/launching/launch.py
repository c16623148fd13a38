"""Start, stop and resume runs: make the folder, then start a supervisor that outlives its starter.

Standard library only. saves/.launch.lock serializes launches that happen at once.
"""

import datetime
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.names import check_output_dir, to_name
from backend.contract.folders.home import (
    caller_environment,
    code_path,
    home,
    output,
    relative,
    saves,
)
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import resumed_run, resuming, run_files, run_folder
from backend.contract.runs.run_files import ARGUMENTS, RUN, SUPERVISOR_LOG, request_stop
from backend.contract.runs.run_view import RunView
from backend.contract.runs.states import State
from backend.contract.system import boundary
from backend.contract.system.files import read_json, take_lock, write_atomic
from backend.contract.texts.problems import Problem, RunFolderError

LOCK = ".launch.lock"  # its content is the number of the last run
PRIVATE = (
    "TUNEBOARD_LOGIN",
    "TUNEBOARD_RUN",
)  # variables that runs do not get: the page's login, another run's token
STOP_RUNS = "TUNEBOARD_STOP_RUNS"  # a variable: runs end with the page, as in a container
OFF = {"", "0", "false", "no", "off"}
RECIPES = "recipes"  # folder of saves/ with the groups of runs that recipes start
TAKEN = {"models", "arguments", RECIPES}  # folders of saves/ that are no model's
RECIPE = "recipe"  # the kind of such a group, itself a run whose child starts the others
RECIPE_GRACE = 86_400.0  # seconds: its stage has a limit of its own, and ends it by force


def stops_with_page() -> bool:
    """Whether a run stops when the page or command that shows it gets SIGTERM."""
    return os.environ.get(STOP_RUNS, "").strip().lower() not in OFF


def start(
    task: str,
    values: Values,
    env: Mapping[str, str] | None = None,
    *,
    exclusive: bool = False,
    queued: bool = False,
) -> Path:
    """Make the run's folder, start its supervisor, and return the folder.

    `env` holds the secrets. A `queued` run begins once all that go on now have ended. Raises
    RunFolderError where the folder cannot be made or is in use, and, with `exclusive`, "run_in_way"
    while another run goes on; UsageError where a training cannot be resumed so, or there is nothing
    left to do.
    """
    chosen = resolve(values).output_dir
    problem = check_output_dir(chosen) if chosen else None
    if problem:
        raise RunFolderError(problem)
    if task == "train":
        values = resuming.require_checkpoint(values)
    with one_at_a_time() as sequence:
        going = list_going() if exclusive or queued else []
        if exclusive:
            _require_free(going)
        folder = output(chosen) if chosen else free_folder(default_output_dir(values, task))
        if "output_dir" in values and not chosen:
            values = {**values, "output_dir": relative(folder)}
        command = Command.build(task, values)
        command = replace(command, env={**command.env, **(env or {})})
        run_folder.create(folder, task=task, values=values, command=command, sequence=sequence)
        _supervise_new(folder, command.env, going if queued else ())
    return folder


def start_recipe(
    folder: Path, recipe: str, command: Command, *, exclusive: bool = False, queued: bool = False
) -> None:
    """Make the folder of a group of runs, with its recipe as args.yaml, and start its supervisor.

    Raises as `start` does.
    """
    with one_at_a_time() as sequence:
        going = list_going() if exclusive or queued else []
        if exclusive:
            _require_free(going)
        run_folder.create(folder, task=RECIPE, values={}, command=command, sequence=sequence)
        write_atomic(folder / ARGUMENTS, recipe)
        _supervise_new(folder, command.env, going if queued else ())


def stop(path: Path, grace: float | None = None) -> bool:
    """Ask a run to save and end, by force after `grace` seconds; False where it has ended already.

    A run whose supervisor is gone gets a new one, which watches it until its end.
    """
    view = run_folder.read(path)
    if view.ended:
        return False
    if grace is None and view.task == RECIPE:
        grace = RECIPE_GRACE
    asked = request_stop(path, grace)
    if view.unsupervised:
        _supervise(path, {}, "--adopt")
    return asked


def resume(path: Path, env: Mapping[str, str] | None = None, values: Values | None = None) -> None:
    """Resume an ended run in its own folder, from its newest whole checkpoint.

    With `values` (all arguments of a training) the run continues with these. A recipe continues at
    the stage in which it ended. Raises RunFolderError "run_going_on" or "no_checkpoint", and
    UsageError as `start` does.
    """
    if values is not None:
        start("train", {**values, **resumed_run.of_run(path)}, env)
        return
    with one_at_a_time():
        view = run_folder.read(path)
        if not view.ended:
            raise RunFolderError(Problem(code="run_going_on", params={"path": str(path)}))
        _require_inside(view)
        words = []
        if view.task != RECIPE:
            words = [f"--{resuming.FIELD}", str(_checkpoint(path))]
        if view.task == "train":
            values = {**resumed_run.arguments_of(view)[0], resuming.FIELD: words[1]}
            resuming.require(values)
        run_files.add(saves(), path)  # it may have been moved since it was started
        (path / SUPERVISOR_LOG).touch()  # from here on the run is starting
        run_folder.archive(path)
        _supervise(path, env or {}, *words)


def find_runs(folder: Path) -> list[Path]:
    """Search a folder for runs that are not in the index, and add them to it."""
    with one_at_a_time():
        before = set(run_files.list_runs(saves()))
        unlisted = [
            each for each in run_files.find(folder) if not run_files.is_standard(saves(), each)
        ]
        for each in unlisted:
            run_files.add(saves(), each)
    return [each for each in unlisted if each not in before]


def default_output_dir(values: Values, task: str, model: str | None = None) -> Path:
    """saves/<model name>/<finetuning_type>/<task>_<time>.

    `model` replaces the name of the model. A task without a method is named in its place.
    """
    arguments = resolve(values)
    name = to_name(model or arguments.model_name_or_path or "model")
    method = to_name(arguments.finetuning_type if "finetuning_type" in values else task)
    when = f"{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
    return saves() / (f"{name}-runs" if name in TAKEN else name) / method / f"{task}_{when}"


def free_folder(folder: Path) -> Path:
    """The folder, or the first of -2, -3, ... where it exists."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def list_going() -> list[RunView]:
    """The runs that have not ended: those in the queue last, and the oldest first, so that a recipe
    comes before the run of its stage."""
    going = [view for view in run_folder.runs(saves()) if not view.ended]
    return sorted(going, key=lambda view: (view.state is State.QUEUED, view.sequence))


def _require_free(going: Sequence[RunView]) -> None:
    if going:
        raise RunFolderError(Problem(code="run_in_way", params={"run": relative(going[0].path)}))


def _require_inside(view: RunView) -> None:
    """Raise RunFolderError where a visitor resumes a run that works outside the boundary.

    Checked here, so that the refusal does not mark the run as failed.
    """
    problems = check_paths(parse(view.recorded, view.task)[0], view.task)
    outside = [problem for problem in problems if problem.code == boundary.CODE]
    if outside:
        raise RunFolderError(*outside)


def _checkpoint(path: Path) -> Path:
    """The checkpoint from which a run is resumed. Raises RunFolderError where there is none."""
    checkpoint, problems = resuming.checkpoint_of(resolve(resumed_run.of_run(path)))
    if checkpoint is None:
        raise RunFolderError(*problems)
    return checkpoint


def _supervise_new(folder: Path, secrets: Mapping[str, str], before: Sequence[RunView]) -> None:
    """Start the supervisor of a new run, which waits for those before it; its folder is removed if
    that fails."""
    words = ["--queue", *(str(view.path) for view in before)] if before else []
    run_files.add(saves(), folder)
    try:
        _supervise(folder, secrets, *words)
    except RunFolderError:
        run_folder.remove(folder)
        raise


@contextmanager
def one_at_a_time() -> Iterator[int]:
    """Hold the lock of all launches, and yield the number of this one, larger than all before."""
    saves().mkdir(parents=True, exist_ok=True)
    handle = take_lock(saves() / LOCK, None)
    assert handle is not None
    try:
        content = os.pread(handle, 32, 0).strip()
        number = max(int(content) + 1 if content.isdigit() else 1, int(time.time()))
        os.pwrite(handle, f"{number}\n".encode(), 0)
        yield number
    finally:
        os.close(handle)


def _supervise(folder: Path, secrets: Mapping[str, str], *words: str) -> None:
    """Start a supervisor that survives Ctrl-C, a hangup and our own end, and leaves no zombie.

    The process started here forks the supervisor and ends. Raises RunFolderError.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
    env |= {**secrets, **caller_environment(), "TUNEBOARD_HOME": _home_of(folder)}
    env |= code_path(env)
    argv = [sys.executable, "-P", "-m", "backend.running.supervisor", str(folder), *words]
    log = folder / SUPERVISOR_LOG
    try:
        with log.open("ab") as output:
            os.utime(log)
            code = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            ).wait()
    except OSError as error:
        raise _not_started(folder, str(error)) from error
    if code:
        raise _not_started(folder, f"exit code {code}, see {log}")


def _home_of(folder: Path) -> str:
    """The working folder in which the run was started, or ours where that has been moved."""
    known = read_json(folder / RUN).get("home")
    return known if isinstance(known, str) and Path(known).is_dir() else str(home())


def _not_started(folder: Path, reason: str) -> RunFolderError:
    params = {"path": str(folder), "reason": reason}
    return RunFolderError(Problem(code="supervisor_failed", params=params))
