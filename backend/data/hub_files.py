"""Find and fetch the files of a data set on a hub, which are read as files on the disk are.

The library datasets is only asked which files a set consists of (by its card, subset, split and
folder). Its own reader would turn 007 into 7, None and NA into nulls, and texts that look like
dates into dates. Files come to the hub's own cache one by one; a stream fetches each when it is
reached.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from backend.contract.folders.home import saves
from backend.contract.registry.dataset_info import SUFFIXES, Entry, kind
from backend.contract.system import boundary
from backend.contract.system.files import dump, read_json, write_atomic
from backend.contract.texts.problems import DataError, Params, Problem
from backend.datafiles import reading
from backend.datafiles.values import DataRow
from backend.hub.fetching import Repository, fetch_file, find_in_cache
from backend.running.deadline import retry
from backend.running.failures import is_disk_full

AT_ONCE = 8  # files that are fetched at the same time
# Options in a set's card that hold here anyway or have no effect (separators of CSV files are
# detected). A set with any other option (names of columns, a field within a file) is refused.
UNDERSTOOD = {
    *("name", "version", "data_dir", "data_files", "description", "features", "drop_labels"),
    *("sep", "delimiter", "on_mixed_types", "use_threads", "block_size", "chunksize"),
    *("newlines_in_values", "parse_agent_traces", "batch_size", "on_bad_files"),
}

logger = logging.getLogger(__name__)

hub_file = re.compile(r"hf://datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")
numbered = re.compile(r"-\d+-of-(\d+)(?=\.|$)")


@dataclass(frozen=True)
class Shard:
    """A file of a set: its name for messages, the function that fetches it, and, of one on the
    hub, its address and whether it is here already."""

    name: str
    fetch: Callable[[], Path]
    source: str = ""
    is_here: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `last` (None: to the end) of some files one after the other."""

    shards: list[Shard]
    first: int = 0
    last: int | None = None


@dataclass(frozen=True)
class HubFiles:
    """The files of a split of a set, in their order."""

    pieces: list[Piece]

    def fetch(self) -> None:
        """Fetch every file. Raises DataError where the hub does not answer."""
        shards = [shard for piece in self.pieces for shard in piece.shards]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda shard: shard.fetch(), shards))

    def fetch_whole(self) -> list[Path] | None:
        """Fetch the files of a whole split; None where it is only a part of a split."""
        if any(piece.first or piece.last is not None for piece in self.pieces):
            return None
        self.fetch()
        return [shard.fetch() for piece in self.pieces for shard in piece.shards]

    def fetch_each(self) -> Iterator[tuple[str, Path]]:
        """Fetch each file and yield it with its name. Raises as fetch does."""
        for piece in self.pieces:
            for shard in piece.shards:
                yield shard.name, shard.fetch()

    def rows(self) -> Iterator[tuple[str, int, DataRow]]:
        """Yield every row with its file and line. Raises as reading.rows and fetch do."""
        for piece in self.pieces:
            yield from islice(_rows(piece.shards), piece.first, piece.last)

    def find_gap(self) -> str:
        """A file whose name (-00000-of-00005) says that others are missing; "" where none is."""
        names = [shard.name for piece in self.pieces for shard in piece.shards]
        counts = Counter(numbered.sub(r"-of-\1", name) for name in names)
        for name in names:
            total = numbered.search(name)
            if total and counts[numbered.sub(r"-of-\1", name)] < int(total[1]):
                return name
        return ""


def unreachable(name: str) -> DataError:
    """The error for a hub that does not answer and a set whose files are not here."""
    problem = Problem(code="dataset_hub_unreachable", field="dataset", params={"name": name})
    return DataError(problem)


def name_as_registered(error: DataError, entry: Entry) -> DataError:
    """The error with the name that the registry has for the set (`set`), and its id on the hub."""
    name = entry.name if entry.name == entry.hub_id else f"{entry.name} ({entry.hub_id})"
    more = {"name": name, "set": entry.name}
    return DataError(
        *(replace(problem, params={**problem.params, **more}) for problem in error.problems)
    )


def find(place: str, entry: Entry, cache_dir: str | None) -> HubFiles:
    """Find the files of the entry's split; place: an id on the hub, or a folder with all files.

    Raises DataError where there is no such split or its files cannot be read here, and what
    load_dataset raises where there is no such set or subset (ValueError, RuntimeError, OSError,
    HTTPError).
    """
    import datasets

    if place != entry.hub_id:
        boundary.allow(Path(place))
    selection = {"name": entry.subset, "data_dir": entry.folder}
    builder = retry(lambda: datasets.load_dataset_builder(place, **selection))
    _refuse_unread(builder.config, entry)
    listed = {str(split): list(names) for split, names in builder.config.data_files.items()}
    files = _build_files(listed, entry, cache_dir, None if place == entry.hub_id else Path(place))
    if place == entry.hub_id:
        path = _list_path(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dump(listed))
    return files


def load_last_listing(entry: Entry, cache_dir: str | None) -> HubFiles | None:
    """The files that `find` last listed for this set, for a machine without a network; None where
    it never did. Raises DataError as find does."""
    listed = read_json(_list_path(entry))
    return _build_files(dict(listed), entry, cache_dir, None) if listed else None


def _list_path(entry: Entry) -> Path:
    query = json.dumps([entry.hub_id, entry.subset, entry.folder])
    name = hashlib.sha256(query.encode()).hexdigest()[:32]
    return saves() / ".cache" / "hub" / f"{name}.json"


def _build_files(
    listed: dict[str, Any], entry: Entry, cache_dir: str | None, folder: Path | None
) -> HubFiles:
    """The files with these names, on a hub or in the folder that holds all files of the set."""
    if folder is not None:
        made = {
            split: [_shard_in_folder(name, folder, entry) for name in listed[split]]
            for split in listed
        }
    else:
        made = {
            split: [_shard_on_hub(name, entry, cache_dir) for name in listed[split]]
            for split in listed
        }
    files = HubFiles(list(_pieces(entry, made)))
    _refuse_others(files, entry)
    return files


def _shard_in_folder(name: str, folder: Path, entry: Entry) -> Shard:
    """A file in the set's folder. Raises DataError where the card names a file outside it."""
    path = Path(os.path.normpath(name))
    if not path.is_relative_to(folder.resolve()):
        raise _outside_error(name, entry)
    return Shard(f"{entry.hub_id}/{path.relative_to(folder.resolve())}", lambda: path)


def _outside_error(name: str, entry: Entry) -> DataError:
    params: Params = {"name": entry.hub_id, "file": name}
    return DataError(Problem(code="dataset_hub_elsewhere", field="dataset", params=params))


def _shard_on_hub(name: str, entry: Entry, cache_dir: str | None) -> Shard:
    known = hub_file.fullmatch(name)
    if known is None:
        raise _outside_error(name, entry)

    path = known["path"]
    repository = Repository(known["repo"], known["revision"], "dataset", cache_dir)

    def fetch() -> Path:
        from huggingface_hub.errors import HTTPError

        try:
            file = fetch_file(repository, path)
        except (OSError, HTTPError) as error:
            if is_disk_full(error):
                raise
            logger.warning("%s: %s", path, error)
            raise name_as_registered(unreachable(entry.hub_id), entry) from None
        boundary.allow(file)
        return file

    def is_here() -> bool:
        return find_in_cache(repository, path) is not None

    return Shard(f"{known['repo']}/{path}", fetch, name, is_here)


def _pieces(entry: Entry, shards: dict[str, list[Shard]]) -> Iterator[Piece]:
    """Yield the pieces of a split: train, test[:100], train[50%:]+test, as datasets reads it."""
    if entry.split in shards:
        yield Piece(shards[entry.split])
        return
    import datasets

    wanted = re.findall(r"[\w.-]+(?=\[|\+|$)", entry.split)
    if not wanted or any(name not in shards for name in wanted):
        params: Params = {"name": entry.hub_id, "split": entry.split, "splits": ", ".join(shards)}
        raise DataError(Problem(code="dataset_hub_split", field="dataset", params=params))
    counts = {name: sum(1 for _ in _rows(shards[name])) for name in dict.fromkeys(wanted)}
    for part in datasets.ReadInstruction.from_spec(entry.split).to_absolute(counts):
        yield Piece(shards[part.splitname], part.from_ or 0, part.to)


def _rows(shards: list[Shard]) -> Iterator[tuple[str, int, DataRow]]:
    for shard in shards:
        for line, row in reading.rows(shard.fetch()):
            yield shard.name, line, row


def _refuse_unread(config: Any, entry: Entry) -> None:
    """Raises DataError where the set's card has options that are not UNDERSTOOD."""
    options = [
        option.name
        for option in dataclasses.fields(config)
        if option.name not in UNDERSTOOD and getattr(config, option.name) != option.default
    ]
    if options:
        params: Params = {"name": entry.hub_id, "options": ", ".join(options)}
        raise DataError(Problem(code="dataset_hub_options", field="dataset", params=params))


def _refuse_others(files: HubFiles, entry: Entry) -> None:
    """Raises DataError for files of a type that cannot be read here."""
    names = [shard.name for piece in files.pieces for shard in piece.shards]
    other = next((name for name in names if kind(name) not in SUFFIXES), None)
    if other is not None:
        params: Params = {"name": entry.hub_id, "file": other, "types": ", ".join(SUFFIXES)}
        raise DataError(Problem(code="dataset_hub_format", field="dataset", params=params))
