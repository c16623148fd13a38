"""What is wrong with the values of a task, all of it, said before torch is loaded."""

import sys
from collections.abc import Callable, Iterable

from backend.contract.arguments.arguments import ignored, judged, resolved
from backend.contract.arguments.field import Values
from backend.contract.base.printed import say
from backend.contract.base.problems import ModelError, Problem, UsageError
from backend.contract.base.texts import t
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry.dataset_info import MEDIA_PROBLEM
from backend.contract.runs import run_names
from backend.datafiles import pictures

OF_MODEL = {"model_name_or_path", "adapter_name_or_path"}


def checked(
    task: str,
    values: Values,
    problems: list[Problem],
    look: Callable[[Values], None] | None = None,
) -> Values:
    """The values of a task with names of runs resolved; notices are told on standard error.

    `problems` are those of parsing. What the data holds is told first. `look` sees the values
    before that. Raises every problem at once as UsageError, or as ModelError where only what was
    found of the model is wrong.
    """
    values, notices = run_names.resolve(values)
    found = judged(values, problems + notices, task) + ignored(values, task)
    wrong = {problem.field for problem in found if not problem.notice}
    if look and not wrong:
        look(values)
    found += [one for one in check_paths(values, task) if one.field not in wrong]
    pictured = pictures.problems(resolved(values), task)
    found = [*pictured, *found]
    found.sort(key=lambda problem: problem.code != MEDIA_PROBLEM)
    errors = [problem for problem in found if not problem.notice]
    if errors:
        tell(problem for problem in pictured if problem.notice)
        of_model = not wrong and {problem.field for problem in errors} <= OF_MODEL
        raise (ModelError if of_model else UsageError)(*errors)
    tell(found)
    return values


def tell(problems: Iterable[Problem]) -> None:
    """Every problem and notice, a line each, to standard error."""
    for problem in problems:
        say(f"{t('cli.notice' if problem.notice else 'cli.error')}: {problem.text()}", sys.stderr)
