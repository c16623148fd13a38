"""Check the values of a task before torch is loaded, and report all problems at once."""

import sys
from collections.abc import Callable, Iterable

from backend.contract.arguments.arguments import check_parsed, report_ignored, resolve
from backend.contract.arguments.field import Values
from backend.contract.base.problems import ModelError, Problem, UsageError
from backend.contract.base.terminal_text import say
from backend.contract.base.texts import t
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry.dataset_info import MEDIA_PROBLEM
from backend.contract.runs import run_names
from backend.datafiles import pictures

OF_MODEL = {"model_name_or_path", "adapter_name_or_path"}


def check_values(
    task: str,
    values: Values,
    problems: list[Problem],
    inspect: Callable[[Values], None] | None = None,
) -> Values:
    """Check the values of a task and print notices; returns the values with run names resolved.

    `problems` are those of parsing. Problems of the data come first; `inspect` is called with the
    values before the paths are checked. Raises every problem at once as UsageError, or as
    ModelError where only the model has problems.
    """
    values, notices = run_names.replace_names(values)
    all_problems = check_parsed(values, problems + notices, task) + report_ignored(values, task)
    wrong_fields = {problem.field for problem in all_problems if not problem.notice}
    if inspect and not wrong_fields:
        inspect(values)
    all_problems += [
        problem for problem in check_paths(values, task) if problem.field not in wrong_fields
    ]
    pictured = pictures.problems(resolve(values), task)
    all_problems = [*pictured, *all_problems]
    all_problems.sort(key=lambda problem: problem.code != MEDIA_PROBLEM)
    errors = [problem for problem in all_problems if not problem.notice]
    if errors:
        print_problems(problem for problem in pictured if problem.notice)
        of_model = not wrong_fields and {problem.field for problem in errors} <= OF_MODEL
        raise (ModelError if of_model else UsageError)(*errors)
    print_problems(all_problems)
    return values


def print_problems(problems: Iterable[Problem]) -> None:
    """Print every problem and notice to standard error, a line each."""
    for problem in problems:
        say(f"{t('cli.notice' if problem.notice else 'cli.error')}: {problem.text()}", sys.stderr)
