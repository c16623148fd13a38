"""Check the values and the data of a task before torch is loaded, and report all problems at once.

Pictures, videos and sounds in the data sets come before any other problem. They cannot be learned
yet. Arguments about them (image_max_pixels, say) are refused for the same reason, so the data,
which is the cause, is reported first.
"""

from collections.abc import Callable
from itertools import islice

from backend.contract.arguments.arguments import check_parsed, report_ignored, resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import MEDIA_PROBLEM, Entry
from backend.contract.runs import run_names
from backend.contract.texts.printing import print_problems
from backend.contract.texts.problems import (
    DataError,
    ModelError,
    Params,
    Problem,
    UsageError,
    errors,
)
from backend.datafiles import formats, layouts, reading
from backend.datafiles.turns import RowError
from backend.datafiles.values import DataRow

ROWS = 20  # that are looked at in each set
PICTURED = "dataset_pictures"  # the code of a problem


def picture_problems(values: Arguments, task: str) -> list[Problem]:
    """Problems of the first ROWS rows of each set: an error where all of them hold pictures, a
    notice where some do. Sets that cannot be read are skipped; reading them reports that."""
    if task not in {"train", "eval"}:
        return []
    stage = values.stage
    notices: list[Problem] = []
    for argument in ("dataset", "eval_dataset"):
        for name in dataset_info.names(values[argument]):
            try:
                entry = dataset_info.find(name, values.dataset_dir, argument)
                problem = _problem(entry, stage, argument)
            except DataError:
                continue
            notices += [problem] if problem else []
    return notices


def _problem(entry: Entry, stage: str, argument: str) -> Problem | None:
    if entry.path is None:
        return None
    rows = list(islice(reading.rows(entry.path), ROWS))
    place = (str(entry.path), rows[0][0])
    read = formats.reader(layouts.layout(entry, rows[0][1], place, layouts.WANTED[stage]))
    lines = [line for line, row in rows if _holds_media(read, row)]
    if not lines:
        return None
    params: Params = {"name": entry.name, "file": str(entry.path), "line": lines[0]}
    params = {**params, "count": len(lines), "rows": len(rows)}
    some = len(lines) < len(rows)
    return Problem(code=PICTURED, field=argument, params=params, notice=some)


def _holds_media(read: formats.Read, row: DataRow) -> bool:
    try:
        read(row)
    except RowError as error:
        return error.code in {"row_media", "row_placeholder"}
    return False


OF_MODEL = {"model_name_or_path", "adapter_name_or_path"}


def check_values(
    task: str,
    values: Values,
    problems: list[Problem],
    inspect: Callable[[Values], None] | None = None,
) -> Values:
    """Check the values of a task and print notices; returns the values with run names resolved.

    Takes what `find_problems` takes. Raises every problem at once as UsageError, or as ModelError
    where only the model has problems.
    """
    values, all_problems = find_problems(task, values, problems, inspect)
    wrong = errors(all_problems)
    if wrong:
        print_problems(each for each in all_problems if each.notice and each.code == PICTURED)
        named = {problem.field for problem in wrong} <= OF_MODEL
        of_model = named and not errors(check_parsed(values, problems, task))
        raise (ModelError if of_model else UsageError)(*wrong)
    print_problems(all_problems)
    return values


def find_problems(
    task: str,
    values: Values,
    problems: list[Problem],
    inspect: Callable[[Values], None] | None = None,
) -> tuple[Values, list[Problem]]:
    """The values of a task with run names resolved, and every problem and notice of them.

    `problems` are those of parsing. Problems of the data come first; `inspect` is called with the
    values before the paths are checked.
    """
    values, notices = run_names.replace_names(values)
    all_problems = check_parsed(values, problems + notices, task) + report_ignored(values, task)
    wrong_fields = {problem.field for problem in all_problems if not problem.notice}
    if inspect and not wrong_fields:
        inspect(values)
    all_problems += [
        problem for problem in check_paths(values, task) if problem.field not in wrong_fields
    ]
    pictured = picture_problems(resolve(values), task)
    all_problems = [*pictured, *all_problems]
    return values, sorted(all_problems, key=lambda problem: problem.code != MEDIA_PROBLEM)
