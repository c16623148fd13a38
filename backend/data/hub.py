"""Data sets of the Hugging Face hub and of ModelScope, asked for under a hard deadline."""

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import DataError, Problem
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import Entry
from backend.data import hub_files
from backend.data.hub_files import HubFiles, registered, unreachable
from backend.running.deadline import answered, retried
from backend.running.failures import is_disk_full

DEADLINE = 12.0  # seconds until a hub must have answered
SMALL = ["README.md", "dataset_infos.json"]

logger = logging.getLogger(__name__)


def load(entry: Entry, values: Arguments) -> HubFiles:
    """The files of a set on a hub; fetched, unless `streaming` asks for one after the other.

    Raises DataError where it cannot be had; it names the set as the registry does (`set`), with
    its id on the hub beside it.
    """
    try:
        return _loaded(entry, values)
    except DataError as error:
        raise registered(error, entry) from None


def _loaded(entry: Entry, values: Arguments) -> HubFiles:
    import datasets

    offline = bool(datasets.config.HF_HUB_OFFLINE) or _set("HF_DATASETS_OFFLINE")
    cache_dir = str(local(values.cache_dir)) if values.cache_dir else None
    if entry.hub == "modelscope":
        _require(entry)
        files = _files(_fetched(entry.hub_id, cache_dir), entry, cache_dir)
    elif offline:
        files = hub_files.known_before(entry, cache_dir) or _here(entry, cache_dir)
    else:
        _require(entry)
        files = _files(entry.hub_id, entry, cache_dir)
    if not values.streaming:
        files.fetch()
    return files


def _require(entry: Entry) -> None:
    if not known(entry.hub_id, entry.hub):
        raise unreachable(entry.hub_id)


def _files(place: str, entry: Entry, cache_dir: str | None) -> HubFiles:
    """What hub_files.find finds, its errors as DataError."""
    import datasets
    from huggingface_hub.errors import HTTPError

    try:
        return hub_files.find(place, entry, cache_dir)
    except (FileNotFoundError, ValueError, RuntimeError) as error:  # no data, no such subset, code
        params = {"name": entry.hub_id, "reason": str(error)[:300]}
        raise DataError(
            Problem(code="dataset_hub_refused", field="dataset", params=params)
        ) from None
    except (OSError, HTTPError, datasets.exceptions.DatasetsError) as error:
        if is_disk_full(error):
            raise
        logger.warning("%s: %s", entry.hub_id, error)
        raise unreachable(entry.hub_id) from None


def _here(entry: Entry, cache_dir: str | None) -> HubFiles:
    """The files of a set that another program has brought here (`hf download`, say)."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    options = {"repo_type": "dataset", "cache_dir": cache_dir, "local_files_only": True}
    try:
        files = _files(str(snapshot_download(entry.hub_id, **options)), entry, cache_dir)
    except LocalEntryNotFoundError:
        raise unreachable(entry.hub_id) from None
    if files.gap():
        logger.warning("%s: not all of its files are here: %s", entry.hub_id, files.gap())
        raise unreachable(entry.hub_id)
    return files


def known(name: str, hub: str = "huggingface") -> bool:
    """Whether a hub knows the data set; False where the hub does not answer in time.

    Raises DataError: there is no such set, or the package `modelscope` is missing.
    """
    return _known_modelscope(name) if hub == "modelscope" else _known_huggingface(name)


def _known_huggingface(name: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError, RepositoryNotFoundError

    try:
        return answered(
            lambda: retried(lambda: HfApi().dataset_info(name, timeout=DEADLINE)), DEADLINE
        )
    except (RepositoryNotFoundError, HFValidationError):
        raise _missing(name) from None
    except (OSError, HTTPError) as error:
        logger.warning("%s: %s", name, error)
        return False


def _known_modelscope(name: str) -> bool:
    """Asked for its small files, which are then there already."""
    try:
        from modelscope import dataset_snapshot_download as download
    except ImportError:
        params = {"name": name}
        problem = Problem(code="modelscope_missing", field="dataset", params=params)
        raise DataError(problem) from None
    ask = partial(_asked, name, lambda: download(name, allow_patterns=SMALL))
    try:
        return answered(ask, DEADLINE)
    except OSError as error:
        logger.warning("%s: %s", name, error)
        return False


def _fetched(name: str, cache_dir: str | None) -> str:
    """The folder with all files of a set of ModelScope; its code is never run."""
    from modelscope import dataset_snapshot_download as download

    return _asked(name, lambda: download(name, cache_dir=cache_dir, ignore_patterns=["*.py"]))


def _asked(name: str, ask: Callable[[], Any]) -> str:
    """What ModelScope's client answers; its own errors as DataError (no such set) or OSError."""
    try:
        return str(ask())
    except Exception as error:
        if type(error).__name__ == "NotExistError":
            raise _missing(name) from None
        if type(error).__module__.partition(".")[0].startswith("modelscope"):
            raise OSError(str(error)) from None
        raise


def _set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}


def _missing(name: str) -> DataError:
    problem = Problem(code="dataset_hub_not_found", field="dataset", params={"name": name})
    return DataError(problem)
