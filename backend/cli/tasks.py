"""`tuneboard train`, `eval`, `export`, `vocab`, `chat`, `api`: the tasks of the argument table."""

import functools
import importlib
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from backend.cli.terminal import follow, log_size, print_resumption
from backend.contract.arguments.arguments import from_argv, parse_task, resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import output, prepare
from backend.contract.launching import launch
from backend.contract.models.devices import CPU_ALONE
from backend.contract.runs import resuming, run_folder
from backend.contract.texts.printing import print_problems
from backend.model.checks import check_values

WORKERS = {
    "train": "backend.train",
    "eval": "backend.evaluation.evaluate",
    "export": "backend.export.export",
    "vocab": "backend.vocabulary.vocab",
}
SERVERS = {"chat": "chat_in_terminal", "api": "run"}


def run_task(options: Namespace) -> int:
    """train, eval, export, vocab: do the work as the child of a supervisor, else launch and follow
    one. Raises TuneboardError."""
    if os.environ.get("TUNEBOARD_RUN"):
        return _work(options.command, options.words, Path(os.environ["TUNEBOARD_RUN"]))
    prepare()
    task, values = parse_values(options.command, options.words, print_resumption)
    arguments = resolve(values)
    goes_on = resuming.is_requested(arguments)
    shown = log_size(output(arguments.output_dir)) if arguments.output_dir and goes_on else 0
    folder = launch.start(task, values)
    print_problems(run_folder.read(folder).notices)
    return follow(folder, shown)


def serve_task(options: Namespace) -> int:
    """chat, api: answer in this very process. Raises TuneboardError."""
    from backend.running.quick_imports import quick_imports

    values = resolve(parse_values(options.command, options.words)[1])
    with quick_imports(values):
        serving = importlib.import_module("backend.serving.serve")
    run: Callable[[Arguments], int | None] = getattr(serving, SERVERS[options.command])
    return run(values) or 0


def parse_values(
    task: str, words: list[str], look: Callable[[Values], None] | None = None
) -> tuple[str, Values]:
    """The subcommand and its checked values: eval in place of a train that only evaluates.

    Raises as checks.check_values does; `look` sees the values before what is wrong with the data.
    """
    task, values, problems = parse_task(task, functools.partial(from_argv, words))
    return task, check_values(task, values, problems, look)


def _work(task: str, words: list[str], folder: Path) -> int:
    """The child of a supervisor: its problems go to problem.json beside the log."""
    from backend.running.failures import run_worker
    from backend.running.quick_imports import quick_imports

    def work() -> None:
        values = resolve(parse_values(task, words)[1])
        if values.use_cpu:
            os.environ |= CPU_ALONE
        with quick_imports(values):
            worker = importlib.import_module(WORKERS[task])
        worker.run(values, folder)

    return run_worker(work, folder)
