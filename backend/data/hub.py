"""Load data sets from the Hugging Face hub and ModelScope, which must answer before a deadline."""

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.problems import DataError, Problem
from backend.data import hub_files
from backend.data.hub_files import HubFiles, name_as_registered, unreachable
from backend.running.deadline import answers_in_time, retry
from backend.running.failures import is_disk_full

DEADLINE = 12.0  # seconds until a hub must have answered
SMALL = ["README.md", "dataset_infos.json"]

logger = logging.getLogger(__name__)


def load(entry: Entry, values: Arguments) -> HubFiles:
    """The files of a set on a hub, fetched unless `streaming` is on (then each when it is read).

    Raises DataError where the set cannot be loaded, with the name that the registry has for it
    (`set`) and its id on the hub.
    """
    try:
        return _load_files(entry, values)
    except DataError as error:
        raise name_as_registered(error, entry) from None


def _load_files(entry: Entry, values: Arguments) -> HubFiles:
    import datasets

    offline = bool(datasets.config.HF_HUB_OFFLINE) or _is_set("HF_DATASETS_OFFLINE")
    cache_dir = str(local(values.cache_dir)) if values.cache_dir else None
    if entry.hub == "modelscope":
        _require_known(entry)
        files = _files(_download(entry.hub_id, cache_dir), entry, cache_dir)
    elif offline:
        files = hub_files.load_last_listing(entry, cache_dir) or _find_local(entry, cache_dir)
    else:
        _require_known(entry)
        files = _files(entry.hub_id, entry, cache_dir)
    if not values.streaming:
        files.fetch()
    return files


def _require_known(entry: Entry) -> None:
    if not is_known(entry.hub_id, entry.hub):
        raise unreachable(entry.hub_id)


def _files(place: str, entry: Entry, cache_dir: str | None) -> HubFiles:
    """As hub_files.find, with its errors as DataError."""
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


def _find_local(entry: Entry, cache_dir: str | None) -> HubFiles:
    """Find the files of a set that another program has downloaded (`hf download`, say)."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    options = {"repo_type": "dataset", "cache_dir": cache_dir, "local_files_only": True}
    try:
        files = _files(str(snapshot_download(entry.hub_id, **options)), entry, cache_dir)
    except LocalEntryNotFoundError:
        raise unreachable(entry.hub_id) from None
    if files.find_gap():
        logger.warning("%s: not all of its files are here: %s", entry.hub_id, files.find_gap())
        raise unreachable(entry.hub_id)
    return files


def is_known(name: str, hub: str = "huggingface") -> bool:
    """Whether a hub has the data set; False where the hub does not answer in time.

    Raises DataError where there is no such set, or the package `modelscope` is missing.
    """
    return _is_on_modelscope(name) if hub == "modelscope" else _is_on_huggingface(name)


def _is_on_huggingface(name: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError, RepositoryNotFoundError

    try:
        return answers_in_time(
            lambda: retry(lambda: HfApi().dataset_info(name, timeout=DEADLINE)), DEADLINE
        )
    except (RepositoryNotFoundError, HFValidationError):
        raise _not_found(name) from None
    except (OSError, HTTPError) as error:
        logger.warning("%s: %s", name, error)
        return False


def _is_on_modelscope(name: str) -> bool:
    """Whether ModelScope has the set: its small files are downloaded, which are needed anyway."""
    try:
        from modelscope import dataset_snapshot_download as download
    except ImportError:
        params = {"name": name}
        problem = Problem(code="modelscope_missing", field="dataset", params=params)
        raise DataError(problem) from None
    ask = partial(_call_modelscope, name, lambda: download(name, allow_patterns=SMALL))
    try:
        return answers_in_time(ask, DEADLINE)
    except OSError as error:
        logger.warning("%s: %s", name, error)
        return False


def _download(name: str, cache_dir: str | None) -> str:
    """Download all files of a set of ModelScope, and return their folder; its code is not run."""
    from modelscope import dataset_snapshot_download as download

    return _call_modelscope(
        name, lambda: download(name, cache_dir=cache_dir, ignore_patterns=["*.py"])
    )


def _call_modelscope(name: str, ask: Callable[[], Any]) -> str:
    """Call ModelScope's client; its errors become DataError (no such set) or OSError."""
    try:
        return str(ask())
    except Exception as error:
        if type(error).__name__ == "NotExistError":
            raise _not_found(name) from None
        if type(error).__module__.partition(".")[0].startswith("modelscope"):
            raise OSError(str(error)) from None
        raise


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}


def _not_found(name: str) -> DataError:
    problem = Problem(code="dataset_hub_not_found", field="dataset", params={"name": name})
    return DataError(problem)
