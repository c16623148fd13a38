"""The course of a training from its arguments: the data is read and cut as the training does it."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from backend.contract.arguments.typed import Arguments
from backend.contract.runs.resuming import device_count
from backend.contract.texts.problems import Problem
from backend.data import packing, prepare, tokenized_path, tokens
from backend.data.lengths import Lengths
from backend.data.rendering import Template
from backend.estimate import sanity
from backend.running.report import Report
from backend.training import arguments, cost, course
from backend.training.course import Course

READ = 20_000  # rows that are tokenized for the answer; the training then finds them in the cache


@dataclass(frozen=True)
class Outlook:
    """The course of a training, the share of its tokens with a label, whether all rows were read,
    and the notices that its data and arguments give."""

    course: Course
    learned: float
    exact: bool
    notices: list[Problem]


def foresee(
    values: Arguments, template: Template, lengths: Lengths, *, exact: bool, most: int = READ
) -> Outlook | None:
    """The outlook on a training.

    Of more rows than `most` a sample stands for all, unless `exact` is asked for; the lengths are
    those of the sample. None where the number of rows is not known. Raises DataError.
    """
    values = values.replace(deepspeed=None)  # changes nothing of the course
    with tempfile.TemporaryDirectory() as folder:
        report = _Notices(Path(folder))
        whole = _is_read(values, lengths, sys.maxsize if exact else most)
        rows, evaluated = _rows(values, template, lengths, report, whole=whole)
        count = 0 if rows is None else len(rows)
        if not count and not values.max_steps:
            return None
        processes = device_count(values)
        steps = arguments.total_steps(values, count, processes)
        args = arguments.build(values, Path(folder), (count, evaluated), report, steps)
    path = course.plan(values, rows, evaluated, args, processes)
    share = cost.share_learned(rows) if path.sizes and whole else _share(lengths)
    return Outlook(path, share, whole, report.noted)


def _rows(
    values: Arguments, template: Template, lengths: Lengths, report: Report, *, whole: bool
) -> tuple[Any, int]:
    """The rows to train on, None where they are not known, and how many there are to evaluate."""
    if whole:
        resolved = values.replace(template=template.name)
        prepared = prepare.prepare_training(resolved, template.tokenizer, template, report)
        for notice in sanity.check_overlap(values.stage, prepared.train, prepared.evaluation):
            report.notice(notice)
        return prepared.train, prepared.sizes()[1]
    if values.streaming or lengths.whole < 0:
        return None, int(bool(values.eval_dataset or values.val_size))
    return _extend(values, lengths)


def _share(lengths: Lengths) -> float:
    """The share of the tokens of the sample that are learned."""
    return float(lengths.answer.sum() / max(1, int(lengths.total.sum())))


class _Notices(Report):
    """Keeps notices and writes nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writes = False
        self.noted: list[Problem] = []

    def notice(self, problem: Problem) -> None:
        """Keep a notice."""
        self.noted.append(problem)


def _is_read(values: Arguments, lengths: Lengths, most: int) -> bool:
    """Whether all rows are read, so that the course is that of the training itself."""
    path = tokenized_path.folder(values)
    whole = not values.streaming and (0 <= lengths.whole <= most or most == sys.maxsize)
    return whole and (path is None or path.exists())


def _extend(values: Arguments, lengths: Lengths) -> tuple[Any, int]:
    """Rows whose lengths are drawn from those of the sample, as many as there are in all, and how
    many of them are evaluated."""
    share = len(lengths.total) / max(1, lengths.rows)
    limit = tokens.Policy.of(values).cutoff_len
    known = np.minimum(lengths.total, limit)
    drawn = np.random.default_rng(0).choice(known, max(1, round(lengths.whole * share)))
    size = values.val_size if not values.eval_dataset else 0
    evaluated = round(size * len(drawn)) if size < 1 else int(size)
    drawn = drawn[: len(drawn) - evaluated]
    kind = packing.kind(values)
    if kind == "blocks":
        drawn = np.full(-(-int(drawn.sum()) // limit), limit)
    elif kind:
        groups = packing.bins(drawn.tolist(), limit)
        drawn = np.asarray([int(drawn[group].sum()) for group in groups])
    return Dataset.from_dict({"length": drawn}), evaluated + int(bool(values.eval_dataset))
