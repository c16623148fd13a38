"""Answer the page's questions about memory and time, as its child `backend.estimate.answers`.

Requests, a JSON line each:

    {"do": "estimate", "values": {...}}
    {"do": "course", "values": {...}}
    {"do": "fit", "values": {...}}
    {"do": "measure", "values": {...}}

Nothing is downloaded, and no code of a model runs: a person types while this is asked. To measure
is to train for some steps; a child of its own does that.
"""

import json
import os
import sys
from typing import Any

from backend.contract.arguments.arguments import defaults, parse, resolve
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.models.devices import CPU_ALONE
from backend.contract.registry import dataset_info
from backend.contract.runs.memory import SPARE
from backend.contract.system.warm_child import Message, Progress, serve
from backend.contract.texts.problems import ModelError, TuneboardError, UsageError, errors
from backend.data import inspection, lengths
from backend.data.inspection import LoadedTemplate
from backend.data.lengths import Lengths
from backend.data.rendering import Template
from backend.datafiles import reading
from backend.estimate import checkpointing
from backend.estimate.calibration import calibrate
from backend.estimate.command import to_json
from backend.estimate.estimate import Estimate, estimate
from backend.estimate.fitting import Search
from backend.estimate.forecast import forecast
from backend.estimate.free_memory import free_memory, least_free
from backend.model.device import device
from backend.training import precision

IDLE_S = 300.0
NICE = 5
READ = 2000  # rows that are tokenized while a person waits; of more a sample is taken
FORCE_CPU = "ACCELERATE_USE_CPU"
GROUPS = {"model", "data"}  # of the arguments that lengths depend on
WITHOUT = {"finetuning_type", "cutoff_len", "packing", "neat_packing", "val_size", "eval_dataset"}
HELD = 16  # measurements


class RowLengths:
    """Measured lengths by data set, model and template, for as long as their files stay."""

    def __init__(self) -> None:
        self._templates: dict[str, LoadedTemplate] = {}
        self._lengths: dict[str, Lengths] = {}

    def read(self, values: Arguments) -> Lengths | None:
        """The lengths of a sample of the rows of `dataset`.

        None where none is named, where one would have to be downloaded, and where they cannot be
        read, which the training says by itself.
        """
        if not values.dataset:
            return None
        try:
            return self._read(_keep_relevant(values))
        except TuneboardError:
            return None

    def template(self, values: Arguments) -> Template:
        """The template of a model; loaded once. Raises TuneboardError."""
        return inspection.reuse_template(_keep_relevant(values), self._templates)[0]

    def _read(self, values: Arguments) -> Lengths | None:
        names = dataset_info.names(values.dataset)
        entries = [dataset_info.find(name, values.dataset_dir) for name in names]
        paths = [entry.path for entry in entries if entry.path is not None]
        if len(paths) < len(entries):
            return None
        stamps = [
            (str(file), file.stat().st_mtime_ns) for path in paths for file in reading.files(path)
        ]
        key = json.dumps([values.as_mapping(), stamps], sort_keys=True, default=str)
        if key not in self._lengths:
            template, _ = inspection.reuse_template(values, self._templates)
            while len(self._lengths) >= HELD:
                del self._lengths[next(iter(self._lengths))]
            self._lengths[key] = lengths.measure(values, template, exact=False)
        return self._lengths[key]


def _keep_relevant(values: Arguments) -> Arguments:
    """The arguments with all at their defaults that lengths do not depend on, so that a change of
    those measures nothing anew."""
    relevant = {
        name: value
        for name, value in values.as_mapping().items()
        if FIELDS[name].group in GROUPS and name not in WITHOUT
    }
    return resolve({**defaults("train"), **relevant})


def answer(request: Message, lengths: RowLengths) -> dict[str, Any]:
    """The answer to a request. Raises TuneboardError."""
    values = _read(request["values"])
    before = os.environ.get(FORCE_CPU)
    if values.use_cpu:
        os.environ[FORCE_CPU] = CPU_ALONE[FORCE_CPU]
    try:
        rows = lengths.read(values)
        if request["do"] == "fit":
            return _fit(values, rows)
        values = precision.choose(values).values
        choice, peak = checkpointing.weigh(values, rows)
        if request["do"] == "measure":
            calibrate(choice.values, peak, least_free(free_memory(peak.device)))
            return {}
        if request["do"] == "course":
            return {"course": _foresee(choice.values, lengths, rows, peak)}
        return to_json(choice, peak, free_memory(peak.device))
    finally:
        if before is None:
            os.environ.pop(FORCE_CPU, None)
        else:
            os.environ[FORCE_CPU] = before


def _fit(values: Arguments, rows: Lengths | None) -> dict[str, Any]:
    """The nearest settings that fit with something to spare, and the share of the rows that their
    cutoff length cuts."""
    limit = int(SPARE * least_free(free_memory(device())))

    def count(changed: Arguments) -> int | None:
        try:
            return estimate(precision.choose(changed).values, rows).total
        except ModelError:
            return None

    longest = values.cutoff_len if rows is None else int(rows.total.max())
    fit = Search(values, count, limit, longest).run()
    cutoff = values.merge(fit.changes).cutoff_len
    share = None if rows is None else float((rows.total > cutoff).mean())
    return {"changes": fit.changes, "total": fit.total, "share_cut": share}


def _foresee(
    values: Arguments, held: RowLengths, rows: Lengths | None, peak: Estimate
) -> dict[str, Any] | None:
    """The forecast of a training, None where the rows are not known."""
    if rows is None:
        return None
    course = forecast(values, held.template(values), rows, peak, most=READ)
    return None if course is None else course.to_json()


def _read(raw: dict[str, Any]) -> Arguments:
    """The values of a form. Raises UsageError where one of them is wrong."""
    parsed, problems = parse(raw, "train")
    if errors(problems):
        raise UsageError(*errors(problems))
    return resolve(parsed).replace(trust_remote_code=False)


def main() -> int:
    """Answer requests until the page ends, or none came for IDLE_S seconds.

    It steps back behind what a person waits for: the page, and trainings.
    """
    os.nice(NICE)
    lengths = RowLengths()

    def act(request: Message, _: Progress) -> dict[str, Any]:
        return answer(request, lengths)

    return serve(act, IDLE_S)


if __name__ == "__main__":
    sys.exit(main())
