"""The pace of a training, measured by two of its steps after a first one, before it is started."""

import tempfile
from pathlib import Path

from backend import train
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.runs.resuming import cut_of, device_count
from backend.contract.texts.problems import ModelError, Problem
from backend.estimate.estimate import Estimate
from backend.running.report import Report
from backend.training.timing import FEWEST, Timing

ROWS = 200  # that are read at least, so that the lengths of the steps are those of the set


def calibrate(values: Arguments, peak: Estimate, free: int) -> None:
    """Train FEWEST steps of what `values` say and keep their pace for the forecast.

    What they write goes to a folder that is removed. Raises ModelError where the training needs
    more memory than the `free` bytes, and TuneboardError as a training does.
    """
    if peak.total > free:
        sizes = {"needed": f"{peak.total / 1e9:.1f}", "free": f"{free / 1e9:.1f}"}
        raise ModelError(Problem(code="measure_no_room", params=sizes))
    places = home.saves() / ".cache"
    places.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="measure-", dir=places) as name:
        folder = Path(name)
        trainer, _, _ = train.make_trainer(_shorten(values, folder), folder, Report(folder))
        timing = Timing.begin_measurement(trainer)
        trainer.run(None)
        timing.keep("")


def _shorten(values: Arguments, folder: Path) -> Arguments:
    """The same training for FEWEST steps, with nothing that is saved, evaluated or sent."""
    cut = cut_of(values, device_count(values))
    rows = max(ROWS, FEWEST * cut.batch * cut.accumulation)
    return values.replace(
        output_dir=str(folder),
        max_steps=FEWEST,
        max_samples=min(rows, values.max_samples or rows),
        eval_dataset=None,
        val_size=0.0,
        eval_strategy="no",
        load_best_model_at_end=False,
        save_strategy="no",
        resume_from_checkpoint=None,
        report_to="none",
        push_to_hub=False,
        plot_loss=False,
    )
