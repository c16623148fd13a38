"""Data sets of the Hugging Face hub and of ModelScope, asked for under a hard deadline."""

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from backend.contract.dataset_info import Entry
from backend.contract.field import Value
from backend.contract.problems import DataError, Problem
from backend.deadline import answered

DEADLINE = 12.0  # seconds until a hub must have answered
SMALL = ["README.md", "dataset_infos.json"]

logger = logging.getLogger(__name__)


def load(entry: Entry, values: Mapping[str, Value]) -> Any:
    """The rows of a set on a hub (a datasets.Dataset, with `streaming` an IterableDataset).

    Raises DataError where it cannot be had.
    """
    import datasets

    offline = bool(datasets.config.HF_HUB_OFFLINE) or _set("HF_DATASETS_OFFLINE")
    elsewhere = entry.hub == "modelscope"
    if (elsewhere or not offline) and not known(entry.hub_id, entry.hub):
        raise _unreachable(entry.hub_id)
    given: dict[str, Any] = {"name": entry.subset, "data_dir": entry.folder, "split": entry.split}
    given["streaming"] = bool(values.get("streaming"))
    if values.get("cache_dir"):
        given["cache_dir"] = str(values["cache_dir"])
    try:
        place = _fetched(entry.hub_id, given.get("cache_dir")) if elsewhere else entry.hub_id
        return datasets.load_dataset(place, **given)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        logger.warning("%s: %s", entry.hub_id, error)
        raise _unreachable(entry.hub_id) from None
    except ValueError as error:  # no such split or subset
        params = {"name": entry.hub_id, "reason": str(error)[:300]}
        raise DataError(
            Problem(code="dataset_hub_refused", field="dataset", params=params)
        ) from None


def known(name: str, hub: str = "huggingface") -> bool:
    """Whether a hub knows the data set; False where the hub does not answer in time.

    Raises DataError: there is no such set, or the package `modelscope` is missing.
    """
    return _known_modelscope(name) if hub == "modelscope" else _known_huggingface(name)


def _known_huggingface(name: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError, RepositoryNotFoundError

    try:
        return answered(lambda: HfApi().dataset_info(name, timeout=DEADLINE), DEADLINE)
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


def _unreachable(name: str) -> DataError:
    problem = Problem(code="dataset_hub_unreachable", field="dataset", params={"name": name})
    return DataError(problem)
