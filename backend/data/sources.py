"""The rows of the chosen data sets: files of the registry or a hub, joined, limited, counted."""

import logging
import os
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from backend import datafiles
from backend.contract import dataset_info
from backend.contract.dataset_info import Entry
from backend.contract.field import Value
from backend.contract.problems import DataError, Problem
from backend.data import formats
from backend.data.formats import Conversation
from backend.data.turns import RowError

Values = Mapping[str, Value]
DEADLINE = 12.0  # seconds until a hub must have answered
PLACEHOLDERS = (("{{name}}", "identity_name"), ("{{author}}", "identity_author"))

logger = logging.getLogger(__name__)


@dataclass
class Refused:
    """How many rows of a file were left out for one reason, and the line of the first."""

    code: str
    file: str
    line: int
    count: int = 0

    def problem(self, notice: bool = True) -> Problem:
        """As told to the person."""
        params: dict[str, str | int] = {"file": self.file, "line": self.line, "count": self.count}
        return Problem(code=self.code, params=params, notice=notice)


@dataclass
class Read:
    """Conversations with the place (file, line) of each, and what was left out."""

    conversations: list[Conversation] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    refused: dict[tuple[str, str], Refused] = field(default_factory=dict)

    def refuse(self, code: str, file: str, line: int) -> None:
        """Count a row that is left out."""
        kept = self.refused.setdefault((code, file), Refused(code, file, line))
        kept.count += 1


def read(values: Values, argument: str) -> Read:
    """The conversations of every data set that `dataset` or `eval_dataset` names, joined.

    Raises DataError: no such data set, broken file, wrong columns, no usable row, no hub.
    """
    found = Read()
    for name in dataset_info.names(values.get(argument)):
        entry = dataset_info.find(name, values.get("dataset_dir"), argument)
        before = len(found.conversations)
        _add(found, entry, values)
        if len(found.conversations) == before:
            reasons = [one.problem(notice=False) for one in found.refused.values()]
            empty = Problem(code="dataset_without_rows", field=argument, params={"name": name})
            raise DataError(empty, *reasons)
    return found


def _add(found: Read, entry: Entry, values: Values) -> None:
    converts: dict[str, Any] = {}
    for file, line, row in _chosen(entry, values):
        if file not in converts:
            converts[file] = formats.reader(formats.layout(entry, row, (file, line)))
        try:
            conversation = converts[file](row)
        except RowError as error:
            if error.fatal:
                problem = Problem(code=error.code, params={"file": file, "line": line})
                raise DataError(problem) from None
            found.refuse(error.code, file, line)
            continue
        if entry.placeholders:
            _fill(conversation, values)
        found.conversations.append(conversation)
        found.places.append((file, line))


def _chosen(entry: Entry, values: Values) -> Iterator[tuple[str, int, Any]]:
    """The raw rows after the entry's num_samples (drawn by seed) and max_samples (the first)."""
    rows = _hub_rows(entry, values) if entry.hub_id else _file_rows(entry)
    if entry.num_samples is not None:
        rows = iter(_drawn(list(rows), entry.num_samples, int(str(values.get("seed") or 0))))
    limit = values.get("max_samples")
    return islice(rows, limit if isinstance(limit, int) else None)


def _drawn(rows: list[Any], wanted: int, seed: int) -> list[Any]:
    """`wanted` rows in random order; where there are fewer, each once and then some again."""
    source = random.Random(seed)
    order = source.sample(range(len(rows)), min(wanted, len(rows)))
    order += source.choices(range(len(rows)), k=wanted - len(order)) if rows else []
    return [rows[index] for index in order]


def _file_rows(entry: Entry) -> Iterator[tuple[str, int, Any]]:
    assert entry.path is not None
    files = datafiles.files(entry.path)
    return chain.from_iterable(
        ((str(file), line, row) for line, row in datafiles.rows(file)) for file in files
    )


def _fill(conversation: Conversation, values: Values) -> None:
    """Write the assistant's name and maker where a row leaves a place for them."""
    for message in conversation.messages:
        for mark, name in PLACEHOLDERS:
            if mark in message["content"] and values.get(name) is not None:
                message["content"] = message["content"].replace(mark, str(values[name]))


def _hub_rows(entry: Entry, values: Values) -> Iterator[tuple[str, int, Any]]:
    import datasets

    offline = bool(datasets.config.HF_HUB_OFFLINE) or _set("HF_DATASETS_OFFLINE")
    if not offline and not _hub_answers(entry.hub_id):
        raise _unreachable(entry)
    given = {"name": entry.subset, "data_dir": entry.folder, "split": entry.split}
    if values.get("cache_dir"):
        given["cache_dir"] = str(values["cache_dir"])
    try:
        loaded = datasets.load_dataset(entry.hub_id, **given)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        logger.warning("%s: %s", entry.hub_id, error)
        raise _unreachable(entry) from None
    except ValueError as error:  # no such split or subset
        params = {"name": entry.hub_id, "reason": str(error)[:300]}
        raise DataError(
            Problem(code="dataset_hub_refused", field="dataset", params=params)
        ) from None
    return ((entry.hub_id, line, row) for line, row in enumerate(loaded, 1))


def _set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}


def _hub_answers(name: str) -> bool:
    """Whether the hub knows the data set, asked under a hard deadline: a line may simply stall."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            HfApi().dataset_info(name, timeout=DEADLINE)
            outcome.append(None)
        except Exception as error:  # noqa: BLE001 (a thread's edge; judged by the asker)
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if outcome and isinstance(outcome[0], RepositoryNotFoundError | HFValidationError):
        params = {"name": name}
        raise DataError(Problem(code="dataset_hub_not_found", field="dataset", params=params))
    if outcome and outcome[0]:
        logger.warning("%s: %s", name, outcome[0])
    return outcome == [None]


def _unreachable(entry: Entry) -> DataError:
    params = {"name": entry.hub_id}
    return DataError(Problem(code="dataset_hub_unreachable", field="dataset", params=params))
