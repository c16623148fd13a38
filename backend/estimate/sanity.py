"""What is worth knowing before a training starts, a line each; none of it stops anything."""

import hashlib
import shutil
from collections.abc import Iterator
from typing import Any

from backend.contract.advice.model_kind import kind_of
from backend.contract.advice.recommended import plain_rates
from backend.contract.arguments.fields.stages import PAIRED
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import decimal_size
from backend.data.lengths import Lengths
from backend.estimate.estimate import Estimate
from backend.training.course import Course

FEW_STEPS = 20
MANY_CUT = 0.05  # share of the rows
# Most epochs by rows that are not remarked on: a rule of thumb, not measured.
EPOCHS = ((100, 30), (1000, 12), (10_000, 8))
MOST_EPOCHS = 5


def check_rate(values: Arguments) -> list[Problem]:
    """A learning rate far outside of what such a model takes with this stage and method."""
    kind = kind_of(values.model_name_or_path)
    lowest, highest = plain_rates(kind, values.stage, values.finetuning_type)
    rate = values.learning_rate
    if lowest <= rate <= highest or values.optim in {"lomo", "adafactor"}:
        return []
    code = "rate_high" if rate > highest else "rate_low"
    params = {"rate": f"{rate:g}", "lowest": f"{lowest:g}", "highest": f"{highest:g}"}
    return [_notice(code, "learning_rate", **params)]


def check_course(values: Arguments, course: Course) -> list[Problem]:
    """Too few steps to change much, or more epochs than so many rows make sense of."""
    notices = []
    if course.steps < FEW_STEPS:
        notices.append(_notice("steps_few", "num_train_epochs", steps=course.steps))
    limit = next((most for rows, most in EPOCHS if course.rows <= rows), MOST_EPOCHS)
    if course.rows and course.epochs > limit:
        field = "max_steps" if values.max_steps else "num_train_epochs"
        epochs = f"{course.epochs:.3g}"
        notice = _notice("epochs_many", field, epochs=epochs, rows=course.rows, limit=limit)
        notices.append(notice)
    return notices


def check_cut(values: Arguments, lengths: Lengths) -> list[Problem]:
    """A large share of rows longer than cutoff_len; texts of pre-training are cut in any case."""
    if values.stage == "pt":
        return []
    share = float((lengths.total > values.cutoff_len).mean())
    if share < MANY_CUT:
        return []
    return [_notice("cut_many", "cutoff_len", share=f"{share:.0%}", limit=values.cutoff_len)]


def check_overlap(stage: str, train: Any, evaluation: Any) -> list[Problem]:
    """Rows to evaluate on that are among those to train on, word for word."""
    if train is None or evaluation is None or "position_ids" in train.column_names:
        return []
    learned = set(_hashes(stage, train))
    count = sum(each in learned for each in _hashes(stage, evaluation))
    if not count:
        return []
    return [_notice("evaluation_overlaps", "eval_dataset", count=count, rows=len(evaluation))]


def disk_needed(values: Arguments, course: Course, peak: Estimate) -> int:
    """Bytes of the checkpoints that are there at once, and of the model that is saved at the end.

    An old checkpoint goes when the new one is whole.
    """
    each = peak.saved + (0 if values.save_only_model else peak.states)
    limit = values.save_total_limit
    count = course.checkpoints if not limit else min(course.checkpoints, limit + 1)
    return count * each + peak.saved


def disk_free(values: Arguments) -> int:
    """Bytes free on the disk that the run is written to."""
    folder = home.output(values.output_dir) if values.output_dir else home.saves()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_disk(values: Arguments, needed: int, free: int) -> list[Problem]:
    """Checkpoints for which the disk has no room, or that take more than half of it."""
    if needed * 2 <= free:
        return []
    code = "disk_too_small" if needed > free else "disk_half"
    field = "save_total_limit" if values.save_strategy != "no" else "output_dir"
    return [_notice(code, field, needed=decimal_size(needed), free=decimal_size(free))]


def _hashes(stage: str, rows: Any) -> Iterator[bytes]:
    """A hash of the tokens of each row."""
    names = ["input_ids"]
    if stage in PAIRED:
        names = ["chosen_input_ids", "rejected_input_ids"]
    for row in rows.select_columns(names).with_format("numpy"):
        yield hashlib.sha256(b"|".join(row[name].tobytes() for name in names)).digest()


def _notice(code: str, field: str, **params: str | int) -> Problem:
    return Problem(code=code, field=field, params=params, notice=True)
