"""`tuneboard runs compare`, `rename` and `remove`: what is done with runs that have ended."""

import json
from argparse import Namespace
from collections.abc import Sequence

from backend.cli.terminal import run_of
from backend.contract.launching import run_changes
from backend.contract.runs import comparison, run_folder
from backend.contract.runs.comparison import Comparison
from backend.contract.texts.locales import t
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import Problem, UsageError
from backend.contract.texts.terminal_text import decimal_size, one_line, say

FEWEST = 2


def compare_runs(options: Namespace) -> int:
    """`tuneboard runs compare RUN RUN [...] [--json]`: the arguments that differ, and the scores.
    Raises UsageError."""
    folders = list(dict.fromkeys(run_of(word) for word in options.runs))
    if len(folders) < FEWEST:
        raise UsageError(Problem(code="compare_too_few"))
    compared = comparison.compare([run_folder.read(folder) for folder in folders])
    if options.json:
        row = {
            "runs": [str(folder) for folder in folders],
            "arguments": compared.arguments,
            "scores": compared.scores,
        }
        say(json.dumps(row, ensure_ascii=False, indent=2))
        return 0
    _print_table(compared)
    return 0


def rename_run(options: Namespace) -> int:
    """`tuneboard runs rename RUN NAME`: its new folder is the line on stdout. Raises UsageError,
    RunFolderError."""
    say(str(run_changes.rename(run_of(options.run), options.name)))
    return 0


def remove_run(options: Namespace) -> int:
    """`tuneboard runs remove RUN`. Raises UsageError, RunFolderError."""
    folder = run_of(options.run)
    size = decimal_size(run_changes.delete(folder))
    say(t("cli.run_removed", folder=one_line(str(folder)), size=size))
    return 0


def _print_table(compared: Comparison) -> None:
    """A column for each run: first the arguments that differ, then the scores."""
    rows = [["", *(view.name for view in compared.runs)]]
    rows += [[name, *values] for name, values in compared.arguments.items()]
    rows += [[name, *map(_format_score, row)] for name, row in compared.scores.items()]
    lines = [[one_line(cell) or "-" for cell in row] for row in rows]
    lines[0][0] = ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say(_align(line, widths))


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _format_score(score: float | None) -> str:
    return "" if score is None else format_number(score, ",.6g")
