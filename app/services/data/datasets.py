"""The registered data sets and new ones on their way in: what the Data tab asks and does.

Rows are read a few at a time here; whoever reads every row (a check) or asks a hub is a child.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from app.services.data import upload_folder, uploads
from app.services.data.uploads import Progress
from backend.contract.base import child_process
from backend.contract.base.problems import DataError, Problem, TuneboardError
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import Entry
from backend.datafiles import detect, entering, samples
from backend.datafiles.detect import Proposal, entry_for
from backend.datafiles.entering import Example, example, kind_of
from backend.datafiles.samples import Sample

HUB_S = 60.0  # a hub has 15 seconds; Python and its libraries start meanwhile

__all__ = ["Example", "Proposal", "Sample", "entry_for", "example", "kind_of"]


@dataclass(frozen=True)
class Candidate:
    """A file or folder that is to become a data set: its first rows and what they seem to be."""

    path: Path
    sample: Sample
    proposal: Proposal

    def example(self, entry: Mapping[str, Any], stage: str) -> Example:
        """The first row under an entry, as this stage would learn it."""
        return entering.example(dict(entry), self.sample, stage)

    @property
    def columns(self) -> list[str]:
        """The columns of the first rows."""
        return list(dict.fromkeys(str(name) for row in self.sample.rows for name in row))


def entries(dataset_dir: str) -> list[Entry]:
    """Every registered set in the registry's order. Raises DataError."""
    return list(dataset_info.entries(dataset_dir).values())


def read_candidate(path: Path) -> Candidate:
    """A file or folder by its first rows. Raises DataError where nothing can be read."""
    sample = samples.sample(path)
    return Candidate(path, sample, detect.propose(sample))


def accept_file(path: Path, inside: Path | None) -> Candidate:
    """A file that somebody brings, looked at where it lies (`inside`: the inbox of uploads).

    Raises DataError where it would not be taken, or where one of its first rows is broken.
    """
    uploads.check(path, inside)
    samples.require_readable(path, samples.FIRST)
    return read_candidate(path)


def accept_upload(path: Path) -> Candidate:
    """As `accept_file`, of a file that the browser has sent. Raises DataError where it has not."""
    upload_folder.require(path)
    return accept_file(path, upload_folder.folder())


def receive(
    upload: Path, name: str, inside: Path | None, progress: Progress | None = None
) -> Candidate:
    """Take an uploaded file into data/<name>/ and look at it. Raises as uploads.take does."""
    return read_candidate(uploads.take(upload, name, inside=inside, progress=progress).path)


def register(
    name: str,
    candidate: Candidate,
    entry: Mapping[str, Any],
    dataset_dir: str,
    *,
    overwrite: bool = False,
) -> Entry:
    """Write the entry into dataset_info.json. Raises DataError: a name, the columns; DiskFull."""
    stage = detect.STAGES[kind_of(dict(entry))]
    problem = candidate.example(entry, stage).problem
    if problem is not None and problem.code in {"columns_missing", "dataset_formatting"}:
        raise DataError(problem)
    row = {"file_name": entering.place(candidate.path, dataset_dir), **entry}
    return registry.register(name, row, dataset_dir, overwrite=overwrite)


def enter(
    name: str,
    candidate: Candidate,
    entry: Mapping[str, Any],
    dataset_dir: str,
    progress: Progress | None = None,
) -> Entry:
    """Register a set; one that lies in the inbox is taken into data/ first.

    Raises as register and uploads.take do; then nothing of it is left in data/.
    """
    inside = upload_folder.folder()
    if inside is None or not candidate.path.is_relative_to(inside):
        return register(name, candidate, entry, dataset_dir)
    registry.check_entry(name, {"file_name": candidate.path.name, **entry}, dataset_dir)
    stored = uploads.take(candidate.path, name, inside=inside, progress=progress)
    try:
        return register(name, replace(candidate, path=stored.path), entry, dataset_dir)
    except TuneboardError:
        if stored.new:
            uploads.drop(stored.path)
        raise


def register_hub(name: str, hub_id: str, hub: str, dataset_dir: str) -> None:
    """Register a hub's set, which is asked for it by a child.

    Raises DataError with the child's problems.
    """
    words = ["register", "--hub", hub_id, "--hub_name", hub, "--name", name, "--progress"]
    command = _command(*words, dataset_dir=dataset_dir)
    try:
        outcome = child_process.run(command, HUB_S)
    except TimeoutError:
        problem = Problem(code="dataset_hub_unreachable", params={"name": hub_id})
        raise DataError(problem) from None
    if outcome.code:
        params = {"name": hub_id, "reason": outcome.words or "-"}
        raise DataError(Problem(code="register_hub", params=params))


def check_rows(
    name: str, dataset_dir: str, stage: str, stop: Event | None = None
) -> Iterator[float | dict[str, Any]]:
    """Check every row in a child: its share done (0 to 1) now and then, at last the report.

    Raises DataError where it cannot begin, Stopped once `stop` is set. Closing the iterator ends
    the child.
    """
    command = _command("check", name, "--stage", stage, "--progress", dataset_dir=dataset_dir)
    outcome = yield from child_process.follow(command, _share, stop=stop)
    if not outcome.out.strip():
        params = {"name": name, "reason": outcome.words}
        raise DataError(Problem(code="check_failed", params=params))
    yield json.loads(outcome.out)


def _share(line: str) -> float | None:
    try:
        return float(line)
    except ValueError:
        return None


def _command(*words: str, dataset_dir: str) -> list[str]:
    return child_process.command("data", *words, "--dataset_dir", dataset_dir, "--json")
