"""`tuneboard recipe`: list, show, start, stop and resume chains; and the child that runs one.

A group of runs is itself a run, of kind "recipe": its supervisor's child starts one stage after
the other as ordinary runs, follows each, and ends with the first that does not succeed.
"""

import datetime
import os
import sys
import time
from argparse import Namespace
from pathlib import Path

from backend.cli.terminal import copy_log, follow, stop
from backend.contract.arguments.arguments import check_parsed, parse_pairs
from backend.contract.folders.home import prepare, saves
from backend.contract.launching import launch, recipes
from backend.contract.launching.launch import RECIPES
from backend.contract.launching.recipes import Plan, Step
from backend.contract.models.model_folder import local
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView, State
from backend.contract.system.files import dump, write_atomic
from backend.contract.texts.locales import has, t
from backend.contract.texts.problems import (
    Problem,
    RunFolderError,
    TuneboardError,
    UsageError,
    errors,
)
from backend.contract.texts.terminal_text import say
from backend.running.failures import Stopped, run_worker

POLL_S = 0.2


def run_recipe(options: Namespace) -> int:
    """`tuneboard recipe [NAME | file.yaml] [...]`: list, show or start; or, as the child of a
    supervisor, bring a group to its end. Raises TuneboardError."""
    if os.environ.get("TUNEBOARD_RUN"):
        folder = Path(os.environ["TUNEBOARD_RUN"])
        return run_worker(lambda: run_stages(folder), folder)
    if not options.words:
        return _list_recipes()
    prepare()
    return _start_recipe(options)


def stop_group(options: Namespace) -> int:
    """`tuneboard recipe stop GROUP`. Raises UsageError."""
    return stop(_group_folder(options.group))


def resume_group(options: Namespace) -> int:
    """`tuneboard recipe resume GROUP`: go on at the stage that it ended in. Raises UsageError."""
    folder = _group_folder(options.group)
    launch.resume(folder)
    return follow(folder)


def run_stages(folder: Path) -> None:
    """Bring every stage of the group in `folder` to its end, those that have succeeded left alone.

    Raises Stopped, or TuneboardError with the stage that failed and why.
    """
    plan = recipes.plan(recipes.read(str(folder / run_folder.ARGUMENTS)), folder.name, {})
    for number, step in enumerate(plan.steps, 1):
        _write_status(folder, number - 1, len(plan.steps))
        say(t("recipe.begin", number=number, total=len(plan.steps), stage=step.name))
        view = _finish_stage(step, folder)
        say(t("recipe.end", stage=step.name, state=t(f"state.{view.state.value}")))
        if view.state is State.STOPPED:
            raise Stopped
        if view.state is not State.SUCCEEDED:
            params = {"stage": step.name, "path": str(step.folder)}
            reasons = [*([view.reason] if view.reason else []), *view.more]
            raise TuneboardError(Problem(code="recipe_failed", params=params), *reasons)
    _write_status(folder, len(plan.steps), len(plan.steps))


def _finish_stage(step: Step, group: Path) -> RunView:
    """Start, resume or find the run of a stage, and stay until it is over."""
    log, asked = step.folder / run_folder.LOG, False
    offset = log.stat().st_size if log.exists() else 0
    _start_stage(step, group)
    while True:
        view = run_folder.read(step.folder)
        offset = copy_log(log, offset)
        if view.ended:
            return view
        if not asked and (group / run_folder.STOP).exists():
            asked = True
            launch.stop(step.folder)
        time.sleep(POLL_S)


def _start_stage(step: Step, group: Path) -> None:
    """See to it that the run of a stage goes on, unless it has succeeded."""
    there = (step.folder / run_folder.RUN).is_file()
    view = run_folder.read(step.folder) if there else None
    if view is not None and (not view.ended or view.state is State.SUCCEEDED):
        return
    if (group / run_folder.STOP).exists():
        raise Stopped
    if view is None:
        say(step.command.shell())
        launch.start(step.task, step.values)
    elif not _resume_stage(step):
        launch.start(step.task, {**step.values, "overwrite_output_dir": True})


def _resume_stage(step: Step) -> bool:
    """Go on from the newest checkpoint; False where there is none, or this kind of run has none."""
    values = {**step.values, "resume_from_checkpoint": "true"}
    if step.task != "train" or errors(check_parsed(values, [], step.task)):
        return False
    try:
        launch.resume(step.folder)
    except RunFolderError as error:
        if error.problems[0].code == "no_checkpoint":
            return False
        raise
    return True


def _write_status(folder: Path, done: int, total: int) -> None:
    status = {"phase": "recipe", "step": done, "total": total, "notices": []}
    write_atomic(folder / run_folder.STATUS, dump(status))


def _list_recipes() -> int:
    for name in recipes.list_recipes():
        say(f"{name:42}{title(name)}")
    return 0


def title(name: str) -> str:
    """What a recipe is for, in a line: the shipped ones' text, else its own description."""
    key = f"recipe.{name}.title"
    return t(key) if has(key) else recipes.read(name).description


def _start_recipe(options: Namespace) -> int:
    arguments, problems = parse_pairs(options.more)
    recipe = recipes.read(options.recipe or "")
    name = str(options.name or arguments.pop("name", "") or f"{recipe.name}_{_now()}")
    plan = recipes.plan(recipe, name, arguments)
    problems += recipes.check(plan)
    errors = [problem for problem in problems if not problem.notice]
    if errors:
        raise UsageError(*errors)
    for notice in problems:
        say(f"{t('cli.notice')}: {notice.text()}", sys.stderr)
    if options.dry_run:
        say(shell_commands(plan))
        return 0
    launch.start_recipe(plan.folder, plan.text(), plan.command)
    return follow(plan.folder)


def shell_commands(plan: Plan) -> str:
    """The commands of all stages, a line each."""
    return "\n".join(step.command.shell() for step in plan.steps)


def _group_folder(word: str) -> Path:
    """The folder of a group, named by its path or by its name alone."""
    places = [local(word), *(saves() / RECIPES).glob("[!.]*/[!.]*")]
    for place in places:
        if (
            word
            and place in {local(word), place.with_name(word)}
            and (place / run_folder.RUN).is_file()
        ):
            return place
    raise UsageError(Problem(code="no_such_run", params={"path": word[:200]}))


def _now() -> str:
    return f"{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
