"""Runs side by side: the arguments that differ, and the scores of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.contract.arguments.arguments import format_value
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs.run_files import RESULTS
from backend.contract.runs.run_view import RunView
from backend.contract.system.files import read_json

SIZES = {"all_parameters", "learned_parameters", "memory", "tokens", "train_rows"}  # no scores
# They differ between any two runs, and say nothing of either.
OF_EACH_RUN = {"output_dir", "overwrite_output_dir", "resume_from_checkpoint", "run_name"}


@dataclass(frozen=True)
class Comparison:
    """Runs in the order in which they were chosen, and what each has of a row.

    arguments  by name, the value for each run as text; only those that differ
    scores     by name, the number for each run; None where a run has none
    """

    runs: Sequence[RunView]
    arguments: Mapping[str, Sequence[str]]
    scores: Mapping[str, Sequence[float | None]]


def compare(views: Sequence[RunView]) -> Comparison:
    """Compare runs by their run.json and all_results.json."""
    results = [read_json(view.path / RESULTS) for view in views]
    names = dict.fromkeys(name for result in results for name in result if name not in SIZES)
    scores = {name: [_read_number(result.get(name)) for result in results] for name in names}
    return Comparison(
        views,
        _find_differing(views),
        {name: row for name, row in scores.items() if any(score is not None for score in row)},
    )


def _find_differing(views: Sequence[RunView]) -> dict[str, list[str]]:
    """Arguments with more than one value; those of an older version count as at their defaults."""
    rows: dict[str, list[str]] = {}
    recorded = [dict[str, Value](view.recorded.items()) for view in views]
    tasks = [view.task for view in views]
    for name, field in FIELDS.items():
        if field.secret or name in OF_EACH_RUN:
            continue
        values = [
            _format(known.get(name, field.default_in(task)))
            for known, task in zip(recorded, tasks, strict=True)
        ]
        if len({*values}) > 1:
            rows[name] = values
    return rows


def _format(value: Value) -> str:
    return "" if value is None else format_value(value)


def _read_number(value: object) -> float | None:
    """A number that can be shown, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None
