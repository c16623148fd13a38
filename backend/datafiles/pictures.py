"""Report pictures, videos and sounds in the data sets of a run, before any other problem.

They cannot be learned yet. Arguments about them (image_max_pixels, say) are refused for the same
reason, so the data, which is the cause, is reported first.
"""

from itertools import islice

from backend import datafiles
from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import DataError, Params, Problem
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.datafiles import formats, layouts
from backend.datafiles.turns import RowError

ROWS = 20  # that are looked at in each set


def problems(values: Arguments, task: str) -> list[Problem]:
    """Problems of the first ROWS rows of each set: an error where all of them hold pictures, a
    notice where some do. Sets that cannot be read are skipped; reading them reports that."""
    if task not in {"train", "eval"}:
        return []
    stage = values.stage
    notices: list[Problem] = []
    for argument in ("dataset", "eval_dataset"):
        for name in dataset_info.names(getattr(values, argument)):
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
    rows = list(islice(datafiles.rows(entry.path), ROWS))
    place = (str(entry.path), rows[0][0])
    read = formats.reader(layouts.layout(entry, rows[0][1], place, layouts.WANTED[stage]))
    lines = [line for line, row in rows if _holds_media(read, row)]
    if not lines:
        return None
    params: Params = {"name": entry.name, "file": str(entry.path), "line": lines[0]}
    params = {**params, "count": len(lines), "rows": len(rows)}
    some = len(lines) < len(rows)
    return Problem(code="dataset_pictures", field=argument, params=params, notice=some)


def _holds_media(read: formats.Read, row: layouts.Row) -> bool:
    try:
        read(row)
    except RowError as error:
        return error.code in {"row_media", "row_placeholder"}
    return False
