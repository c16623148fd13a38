"""The options of `tuneboard data ...`: argparse whose mistakes are told like all others."""

import argparse
from typing import NoReturn

from backend.contract.base.printed import say
from backend.contract.base.problems import Problem, UsageError
from backend.datafiles import values


class Options(argparse.ArgumentParser):
    """The options of one subcommand. Help is the text `data.help.<command>` of the locales."""

    def __init__(self, command: str, *, json_too: bool = True) -> None:
        super().__init__(prog=f"tuneboard data {command}", add_help=False, allow_abbrev=False)
        self.add_argument("--dataset_dir", default="data")
        self.add_argument("--progress", action="store_true")  # the page's: numbers, JSON problems
        if json_too:
            self.add_argument("--json", action="store_true")

    def error(self, message: str) -> NoReturn:
        """Raises UsageError instead of ending the process."""
        params = {"command": self.prog, "reason": message}
        raise UsageError(Problem(code="data_usage", params=params))


def say_json(content: object) -> None:
    """A value as indented JSON to standard output; what JSON has no word for is told as text."""
    say(values.dumps(content, indent=2, default=str))
