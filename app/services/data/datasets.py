"""List, read and register data sets for the Data tab.

Only the first rows are read here. A check of every row and requests to a hub run in a child.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from app.services.data import upload_folder, uploads
from app.services.data.uploads import Progress
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import Entry
from backend.contract.system import child_process
from backend.contract.texts.problems import DataError, Problem, TuneboardError
from backend.datafiles import detect, entering, samples
from backend.datafiles.detect import Proposal, entry_for
from backend.datafiles.entering import Example, example, kind_of
from backend.datafiles.samples import Sample

HUB_S = 60.0  # the 15 seconds for an answer of the hub, and the start of Python and its libraries

__all__ = ["Example", "Proposal", "Sample", "entry_for", "example", "kind_of"]


@dataclass(frozen=True)
class Candidate:
    """A file or folder that is to be registered: its first rows, and a proposal for its entry."""

    path: Path
    sample: Sample
    proposal: Proposal

    def example(self, entry: Mapping[str, Any], stage: str) -> Example:
        """The first row as this stage would read it with an entry."""
        return entering.example(dict(entry), self.sample, stage)

    @property
    def columns(self) -> list[str]:
        """The columns of the first rows."""
        return list(dict.fromkeys(str(name) for row in self.sample.rows for name in row))


def entries(dataset_dir: str) -> list[Entry]:
    """Every registered set, in the order of the registry. Raises DataError."""
    return list(dataset_info.entries(dataset_dir).values())


def read_candidate(path: Path) -> Candidate:
    """Read the first rows of a file or folder. Raises DataError where nothing can be read."""
    sample = samples.sample(path)
    return Candidate(path, sample, detect.propose(sample))


def accept_file(path: Path, inside: Path | None) -> Candidate:
    """Check and read a file in its place; `inside` is the folder of uploads for an upload.

    Raises DataError where it would be refused, or where one of its first rows is broken.
    """
    uploads.check(path, inside)
    samples.require_readable(path, samples.FIRST)
    return read_candidate(path)


def accept_upload(path: Path) -> Candidate:
    """As `accept_file`, for a file that the browser has uploaded. DataError for any other."""
    upload_folder.require(path)
    return accept_file(path, upload_folder.folder())


def receive(
    upload: Path, name: str, inside: Path | None, progress: Progress | None = None
) -> Candidate:
    """Copy an uploaded file into data/<name>/ and read it. Raises as `uploads.take` does."""
    return read_candidate(uploads.take(upload, name, inside=inside, progress=progress).path)


def register(
    name: str,
    candidate: Candidate,
    entry: Mapping[str, Any],
    dataset_dir: str,
    *,
    overwrite: bool = False,
) -> Entry:
    """Write the entry into dataset_info.json.

    Raises DataError for a bad name or missing columns; DiskFullError.
    """
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
    """Register a set; an upload is copied into data/ first.

    Raises as `register` and `uploads.take` do. Nothing is left in data/ then.
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
    """Register a set of a hub. A child asks the hub for its columns.

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
    """Check every row in a child: yield the share done (0 to 1) from time to time, then the report.

    Raises DataError where it cannot begin, and Stopped once `stop` is set. Closing the iterator
    ends the child.
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
