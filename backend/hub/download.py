"""Download a model before it is needed: room first, progress, and each large file by its hash.

What has arrived stays: a download that is stopped or breaks off goes on from there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import utils as hub_utils
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from backend.contract.texts.problems import ModelError, Problem
from backend.hub import fetching, modelscope
from backend.hub.fetching import FILES, SECOND_COPIES, SHA256, Plan, Repository
from backend.hub.search import explain
from backend.running.deadline import retry

LOOK_SECONDS = 0.5

Report = Callable[["Progress"], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far a download is: bytes, and bytes per second over the last seconds."""

    done: int
    total: int
    speed: float = 0.0

    @property
    def left(self) -> float | None:
        """The seconds left at this speed; None while there is none."""
        return (self.total - self.done) / self.speed if self.speed else None


def download(name: str, revision: str, report: Report, hub: str = "huggingface") -> Path:
    """Download a model into the cache that all of Tuneboard uses, and return its folder.

    Raises ModelError where the hub refuses, breaks off for good, has no such model or has sent a
    file that is not the right one; DiskFullError where there is no room for it.
    """
    hub_utils.disable_progress_bars()
    if hub == "modelscope":
        return _download_from_modelscope(name, revision, report)
    repository = Repository(name, revision, patterns=FILES, refused=SECOND_COPIES)
    with name_refusals(name):
        plan = fetching.make_plan(repository)
        fetching.require_room(repository, plan)
        folder = follow(repository.blobs, plan, report, lambda: fetching.fetch(repository, plan))
    _verify(folder)
    return folder


def _download_from_modelscope(name: str, revision: str, report: Report) -> Path:
    with name_refusals(name):
        files = retry(lambda: modelscope.list_files(name, revision))
        missing = [each for each in files if not modelscope.is_here(name, revision, each)]
        plan = Plan(sum(each.size for each in files), sum(each.size for each in missing))
        folder = modelscope.find_folder(name, revision)
        fetching.require_bytes(folder, plan.missing)
        return follow(folder, plan, report, lambda: modelscope.fetch(name, revision, files))


@contextmanager
def name_refusals(name: str) -> Iterator[None]:
    """Within the block, what huggingface_hub raises becomes ModelError."""
    try:
        yield
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        code = "hub_gated" if isinstance(error, GatedRepoError) else "hub_has_no_model"
        raise ModelError(Problem(code=code, params={"name": name})) from error
    except HFValidationError as error:
        raise ModelError(Problem(code="hub_has_no_model", params={"name": name})) from error
    except HfHubHTTPError as error:
        raise explain(error, name) from error
    except TimeoutError as error:
        raise ModelError(Problem(code="hub_silent")) from error
    except (LocalEntryNotFoundError, HTTPError, OSError) as error:
        raise ModelError(Problem(code="hub_broke_off", params={"name": name})) from error


def follow(folder: Path, plan: Plan, report: Report, fetch: Callable[[], Result]) -> Result:
    """Fetch what a plan says is missing into a folder, and report meanwhile how far it is."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, plan, report, ended), daemon=True)
    watcher.start()
    try:
        result = fetch()
    finally:
        ended.set()
        watcher.join()
    report(Progress(plan.total, plan.total))
    return result


def _watch(folder: Path, plan: Plan, report: Report, ended: threading.Event) -> None:
    """Report how many bytes have arrived, from the sizes of the files, until the download ends."""
    before = _size(folder, with_parts=False) - (plan.total - plan.missing)  # of other revisions
    past = [(time.monotonic(), _size(folder) - before)]
    while not ended.wait(LOOK_SECONDS):
        now, done = time.monotonic(), _size(folder) - before
        past = [*past[-20:], (now, done)]
        speed = (done - past[0][1]) / (now - past[0][0])
        report(Progress(min(done, plan.total), plan.total, max(speed, 0.0)))


def _size(folder: Path, *, with_parts: bool = True) -> int:
    """The bytes of the files in a folder, with those that have arrived in part or without."""
    total = 0
    for path in folder.rglob("*"):
        if with_parts or path.suffix != ".incomplete":
            try:
                total += path.stat().st_size if path.is_file() else 0
            except OSError:  # renamed at this moment
                continue
    return total


def _verify(folder: Path) -> None:
    """Compare each large file with its hash: also those that were there, or that huggingface_hub
    has fetched. Raises ModelError."""
    for path in sorted(folder.rglob("*")):
        blob = path.resolve()
        if path.is_file() and SHA256.fullmatch(blob.name):
            try:
                fetching.require_digest(blob, blob.name, path.name)
            except ModelError:
                path.unlink(missing_ok=True)
                raise
