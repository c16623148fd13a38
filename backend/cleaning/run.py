"""Run a cleaning or a split from begin to end."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from backend.cleaning import output
from backend.cleaning.duplicates import fingerprint
from backend.cleaning.output import Part, Report
from backend.cleaning.rows import Item, Rows, normalize
from backend.cleaning.steps import CleaningOptions, Count, Step, build
from backend.contract.texts.problems import DataError, Params, Problem

BATCH = 256  # rows that pass the steps together
TELL_S = 0.2

Progress = Callable[[int, int], None]
Counter = Callable[[str], Count]  # for rows that this stage learns from


@dataclass(frozen=True)
class Job:
    """The set to work on, its registry, and whether sets with the new names may be replaced."""

    source: str
    dataset_dir: str = "data"
    overwrite: bool = False
    progress: Progress | None = None  # gets rows done and rows in all (0: not known)


def clean(job: Job, into: str, asked: CleaningOptions, counter: Counter | None = None) -> Report:
    """Make the set `into` from the rows that pass all steps; counter: makes a counter of tokens.

    Raises DataError, UsageError, ModelError or DiskFullError, and then leaves nothing behind.
    """
    start = time.monotonic()
    output.refuse_taken([into], job.source, job.dataset_dir, job.overwrite)
    rows = Rows(job.source, job.dataset_dir)
    chosen = {
        name: value for name, value in asdict(asked).items() if value not in (None, "", False)
    }
    report = Report(into, job.source, {}, chosen)
    count = _note_unmeasured(counter(rows.stage), report) if counter else None
    steps = build(asked, job.dataset_dir, count)
    report.content = rows.content()
    read = rows.read(normalize if asked.tidy else None, needed=asked.by_columns)
    with output.parts([into], job.dataset_dir) as (part,):
        for batch in _batches(_report_progress(read, job, rows)):
            report.read += len(batch)
            _pass(batch, steps, part, report)
        _finish([part], [report], job, start)
    return report


def split(job: Job, into: tuple[str, str], ratio: float, seed: int) -> tuple[Report, Report]:
    """Make two sets from the rows of a set: the second gets round(ratio x rows) random ones.

    They are drawn in one pass and in the order of the rows (Knuth, The Art of Computer
    Programming 2, 3.4.2, algorithm S). Raises DataError or DiskFullError, and then leaves nothing
    behind.
    """
    start = time.monotonic()
    output.refuse_taken(into, job.source, job.dataset_dir, job.overwrite)
    rows = Rows(job.source, job.dataset_dir)
    left = sum(1 for _ in rows.plain())
    wanted = round(ratio * left)
    if not 0 < wanted < left:
        params: Params = {"name": job.source, "rows": left, "ratio": ratio}
        raise DataError(Problem(code="split_empty", field="ratio", params=params))
    content, asked = rows.content(), {"ratio": ratio, "seed": seed}
    reports = tuple(Report(name, job.source, content, {**asked, "half": name}) for name in into)
    source, prints = random.Random(seed), (set[bytes](), list[bytes]())
    with output.parts(into, job.dataset_dir) as made:
        for item in _report_progress(rows.read(), job, rows):
            second = source.random() * left < wanted
            left, wanted = left - 1, wanted - second
            made[second].write(item)
            (prints[1].append if second else prints[0].add)(fingerprint(item))
        for part, report in zip(made, reports, strict=True):
            report.read, report.kept = sum(each.rows for each in made), part.rows
        reports[1].shared = sum(each in prints[0] for each in prints[1])
        _finish(made, reports, job, start)
    return reports[0], reports[1]


def _pass(batch: Sequence[Item], steps: Sequence[Step], part: Part, report: Report) -> None:
    """Pass rows through the steps one after the other, and write those that stay."""
    for step in steps:
        verdicts = step(batch)
        for item, why in zip(batch, verdicts, strict=True):
            if why is not None:
                report.remove(item, why)
        batch = [item for item, why in zip(batch, verdicts, strict=True) if why is None]
    for item in batch:
        part.write(item)
        report.kept += 1
        if item.changed:
            report.tidied.add(item, {})


def _finish(made: Sequence[Part], reports: Sequence[Report], job: Job, start: float) -> None:
    """Publish the new sets. Raises DataError where one of them has no rows."""
    for report in reports:
        if not report.kept:
            most = max(report.removed.items(), key=lambda each: each[1].count, default=None)
            reason = most[1].describe(most[0]) if most else "-"
            params = {"name": job.source, "reason": reason}
            raise DataError(Problem(code="clean_nothing_left", params=params))
        report.seconds = round(time.monotonic() - start, 3)
    entry = output.entry_of(job.source, job.dataset_dir)
    output.publish(made, reports, entry, job.dataset_dir, overwrite=job.overwrite)


def _note_unmeasured(count: Count, report: Report) -> Count:
    """The same counter, which also adds rows without a count to the report."""

    def noting(items: Sequence[Item]) -> list[int | None]:
        sizes = count(items)
        for item, size in zip(items, sizes, strict=True):
            if size is None:
                report.unmeasured.add(item, {})
        return sizes

    return noting


def _report_progress(items: Iterator[Item], job: Job, rows: Rows) -> Iterator[Item]:
    """Yield the same rows, and report how many have passed at most every TELL_S seconds."""
    if job.progress is None:
        yield from items
        return
    total, last, done = rows.total(), 0.0, 0
    for done, item in enumerate(items, 1):
        if time.monotonic() - last > TELL_S:
            last = time.monotonic()
            job.progress(done, total)
        yield item
    job.progress(done, done)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, BATCH)):
        yield batch
