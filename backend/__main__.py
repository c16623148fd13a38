"""tuneboard train|eval|chat|api|export|recipe|data|runs|starter|env|version|webui.

Parse, check, then import: everything that can be said without torch is said before torch is loaded.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from backend.contract import launch, run_names
from backend.contract.arguments import from_argv, ignored, judged, resolved
from backend.contract.dataset_info import MEDIA_PROBLEM
from backend.contract.field import Values
from backend.contract.fields import FIELDS
from backend.contract.home import prepare
from backend.contract.preflight import check_paths
from backend.contract.printed import say
from backend.contract.problems import ModelError, Problem, TuneboardError, UsageError
from backend.contract.reference import help_text
from backend.contract.texts import t
from backend.datafiles import pictures

RUNS = ("train", "eval", "export")
OF_MODEL = {"model_name_or_path", "adapter_name_or_path"}
# Libraries that warn, whenever they are imported, of what this machine lacks, asked for or not.
UNASKED = ("torchao", "bitsandbytes.backends", "torch.utils._pytree")
WORKERS = {"train": "backend.train", "eval": "backend.evaluate", "export": "backend.export"}


def main(argv: list[str] | None = None) -> int:
    """The `tuneboard` command; returns the exit code."""
    for library in UNASKED:
        logging.getLogger(library).setLevel(logging.ERROR)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        say(t("cli.usage"))
        return 0 if words else 2
    name, rest = words[0], words[1:]
    command = COMMANDS.get(name)
    if command is None:
        say(t("cli.unknown_command", name=name[:80]), sys.stderr)
        return 2
    try:
        return command(name, rest)
    except TuneboardError as error:
        tell(error.problems)
        return error.exit_code


def tell(problems: tuple[Problem, ...] | list[Problem]) -> None:
    """Every problem and notice, a line each, to standard error."""
    for problem in problems:
        say(f"{t('cli.notice' if problem.notice else 'cli.error')}: {problem.text()}", sys.stderr)


def _values(task: str, words: list[str]) -> Values:
    """The checked values of a subcommand; every problem at once as UsageError, or as ModelError
    where only what was found of the model is wrong. What the data holds is told first."""
    values, problems = from_argv(words, task)
    values, notices = run_names.resolve(values)
    problems += notices
    found = judged(values, problems, task) + ignored(values, task)
    wrong = {problem.field for problem in found if not problem.notice}
    found += [one for one in check_paths(values, task) if one.field not in wrong]
    found = [*pictures.problems(values, task), *found]
    found.sort(key=lambda problem: problem.code != MEDIA_PROBLEM)
    errors = [problem for problem in found if not problem.notice]
    if errors:
        of_model = not wrong and {problem.field for problem in errors} <= OF_MODEL
        raise (ModelError if of_model else UsageError)(*errors)
    tell(found)
    return values


def _task(task: str, words: list[str]) -> int:
    """train, eval, export: do the work as the child of a supervisor, else launch and follow one."""
    if "--help" in words or "-h" in words:
        say(help_text(task))
        return 0
    if os.environ.get("TUNEBOARD_RUN"):
        return _work(task, words, Path(os.environ["TUNEBOARD_RUN"]))
    from backend.terminal import follow

    prepare()
    values = _values(task, words)
    if task == "train" and not values["do_train"] and (values["do_predict"] or values["do_eval"]):
        task, values = "eval", _as_eval(values)
    folder = launch.start(task, values)
    return follow(folder)


def _as_eval(values: Values) -> Values:
    """A train command without do_train (an old way to evaluate) as an eval command."""
    kept = {name: value for name, value in values.items() if "eval" in FIELDS[name].tasks}
    return {**kept, "eval_dataset": values["eval_dataset"] or values["dataset"]}


def _work(task: str, words: list[str], folder: Path) -> int:
    """The child of a supervisor: its problems go to problem.json beside the log."""
    from backend.failures import run_worker

    def work() -> None:
        values = resolved(_values(task, words))
        importlib.import_module(WORKERS[task]).run(values, folder)

    return run_worker(work, folder)


def _chat(_: str, words: list[str]) -> int:
    return _serve("chat", "chat_in_terminal", words)


def _api(_: str, words: list[str]) -> int:
    return _serve("api", "run", words)


def _serve(task: str, function: str, words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        say(help_text(task))
        return 0
    values = _values(task, words)
    run: Callable[[Values], int | None] = getattr(
        importlib.import_module("backend.serve"), function
    )
    return run(resolved(values)) or 0


def _runs(_: str, words: list[str]) -> int:
    from backend.terminal import runs

    return runs(words)


def _recipe(_: str, words: list[str]) -> int:
    from backend.recipe import main as recipe

    return recipe(words)


def _data(_: str, words: list[str]) -> int:
    from backend.data_command import main as data

    return data(words)


def _starter(_: str, words: list[str]) -> int:
    from backend.starter import main as starter

    prepare()
    return starter(words)


def _env(*_: object) -> int:
    from backend.terminal import environment

    say(environment())
    return 0


def _version(*_: object) -> int:
    from importlib.metadata import version

    say(f"tuneboard {version('tuneboard')}")
    return 0


def _webui(_: str, words: list[str]) -> int:
    """The page is another process image: the worker's code never meets it."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app", *words])


COMMANDS: dict[str, Callable[[str, list[str]], int]] = {
    **dict.fromkeys(RUNS, _task),
    "chat": _chat,
    "api": _api,
    "runs": _runs,
    "recipe": _recipe,
    "data": _data,
    "starter": _starter,
    "env": _env,
    "version": _version,
    "--version": _version,
    "webui": _webui,
}


if __name__ == "__main__":
    sys.exit(main())
