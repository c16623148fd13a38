"""`tuneboard data COMMAND ...`: finds the function of a subcommand, in a module of its own."""

import importlib
import json
import sys
from collections.abc import Callable

from backend.contract.base.home import prepare
from backend.contract.base.printed import say
from backend.contract.base.problems import Problem, TuneboardError, UsageError
from backend.contract.base.texts import t
from backend.contract.preflight import installation
from backend.contract.reference import asks_for_help

# Subcommand -> "module:function". The function takes the words after the subcommand's name and
# returns the exit code; TuneboardErrors are told by backend.__main__. Heavy imports belong into
# that module: only the one that is asked for is imported. Help is the text data.help.<name>.
COMMANDS = {
    "list": "backend.cli.data_sets:list_sets",
    "check": "backend.cli.data_sets:check_set",
    "register": "backend.cli.data_register:register_set",
    "remove": "backend.cli.data_register:remove_set",
    "preview": "backend.cli.data_sets:preview_set",
    "stats": "backend.data.inspection:stats_command",
    "tokens": "backend.data.inspection:tokens_command",
    "clean": "backend.cli.data_clean:clean_set",
    "split": "backend.cli.data_clean:split_set",
}
OF_WORKER = ("stats", "tokens")


def main(words: list[str]) -> int:
    """Do what `tuneboard data` is asked; returns the exit code. Raises TuneboardError."""
    name, rest = (words[0], words[1:]) if words else ("", [])
    if name in {"", "-h", "--help", "help"}:
        say(t("data.help"))
        return 0 if name else 2
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise UsageError(Problem(code="data_command", params={"name": name[:80], "known": known}))
    if asks_for_help(rest):
        say(t(f"data.help.{name}"))
        return 0
    if name in OF_WORKER:
        installation.require_worker()
    prepare()
    module, function = COMMANDS[name].split(":")
    run: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    try:
        return run(rest)
    except TuneboardError as error:
        if "--progress" in rest:  # the page reads it, and may speak another language
            told = {"problems": [one.to_json() for one in error.problems]}
            sys.stderr.write(json.dumps(told) + "\n")
        raise
