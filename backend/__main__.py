"""tuneboard train|eval|chat|api|export|vocab|recipe|data|runs|starter|env|version|webui.

Parse, check, then import: everything that can be said without torch is said before torch is loaded.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from backend.contract.arguments.arguments import as_evaluation, from_argv, only_evaluates, resolved
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.base.home import output, prepare
from backend.contract.base.printed import say
from backend.contract.base.problems import TuneboardError
from backend.contract.base.texts import has, t
from backend.contract.launching import launch
from backend.contract.preflight import installation
from backend.contract.reference import asks_for_help, help_text
from backend.contract.runs import resuming, run_folder
from backend.model.checks import check_values, print_problems

RUNS = ("train", "eval", "export", "vocab")
# Libraries that warn, whenever they are imported, of what this machine lacks, asked for or not.
UNASKED = ("torchao", "bitsandbytes.backends", "torch.utils._pytree")
# What keeps PyTorch from seeing a GPU (CUDA and ROCm), and backend.model.device from choosing MPS.
CPU_ALONE = {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
WORKERS = {
    "train": "backend.train",
    "eval": "backend.evaluation.evaluate",
    "export": "backend.export.export",
    "vocab": "backend.pieces.vocab",
}


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
    if asks_for_help(rest) and has(f"cli.help.{name}"):
        say(t(f"cli.help.{name}"))
        return 0
    try:
        return command(name, rest)
    except TuneboardError as error:
        print_problems(error.problems)
        return error.exit_code


def _values(
    task: str, words: list[str], look: Callable[[Values], None] | None = None
) -> tuple[str, Values]:
    """The subcommand and its checked values: eval in place of a train that only evaluates.

    Raises as checks.check_values does; `look` sees the values before what is wrong with the data.
    """
    values, problems = from_argv(words, task)
    if task == "train" and only_evaluates(values):
        task = "eval"
        values, problems = as_evaluation(words)
    return task, check_values(task, values, problems, look)


def _task(task: str, words: list[str]) -> int:
    """train, eval, export: do the work as the child of a supervisor, else launch and follow one."""
    if asks_for_help(words):
        say(help_text(task))
        return 0
    if os.environ.get("TUNEBOARD_RUN"):
        return _work(task, words, Path(os.environ["TUNEBOARD_RUN"]))
    from backend.cli.terminal import follow, log_size, tell_resumption

    prepare()
    task, values = _values(task, words, tell_resumption)
    arguments = resolved(values)
    goes_on = resuming.is_asked(arguments)
    told = log_size(output(arguments.output_dir)) if arguments.output_dir and goes_on else 0
    folder = launch.start(task, values)
    print_problems(run_folder.read(folder).notices)
    return follow(folder, told)


def _work(task: str, words: list[str], folder: Path) -> int:
    """The child of a supervisor: its problems go to problem.json beside the log."""
    from backend.running.failures import run_worker

    def work() -> None:
        values = resolved(_values(task, words)[1])
        if values.use_cpu:
            os.environ |= CPU_ALONE
        importlib.import_module(WORKERS[task]).run(values, folder)

    return run_worker(work, folder)


def _chat(_: str, words: list[str]) -> int:
    return _serve("chat", "chat_in_terminal", words)


def _api(_: str, words: list[str]) -> int:
    return _serve("api", "run", words)


def _serve(task: str, function: str, words: list[str]) -> int:
    if asks_for_help(words):
        say(help_text(task))
        return 0
    _, values = _values(task, words)
    run: Callable[[Arguments], int | None] = getattr(
        importlib.import_module("backend.serving.serve"), function
    )
    return run(resolved(values)) or 0


def _runs(_: str, words: list[str]) -> int:
    from backend.cli.terminal import runs

    return runs(words)


def _resume(_: str, words: list[str]) -> int:
    from backend.cli.terminal import resume

    return resume(words)


def _recipe(_: str, words: list[str]) -> int:
    from backend.cli.recipe import main as recipe

    return recipe(words)


def _data(_: str, words: list[str]) -> int:
    from backend.cli.data_command import main as data

    return data(words)


def _starter(_: str, words: list[str]) -> int:
    from backend.cli.starter import main as starter

    if not asks_for_help(words):
        prepare()
    return starter(words)


def _env(*_: object) -> int:
    from backend.cli.terminal import environment

    say(environment())
    return 0


def _version(*_: object) -> int:
    from importlib.metadata import version

    say(f"tuneboard {version('tuneboard')}")
    return 0


def _webui(_: str, words: list[str]) -> int:
    """The page is another process image: the worker's code never meets it."""
    installation.require_page()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app", *words])


COMMANDS: dict[str, Callable[[str, list[str]], int]] = {
    **dict.fromkeys(RUNS, _task),
    "chat": _chat,
    "api": _api,
    "resume": _resume,
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
