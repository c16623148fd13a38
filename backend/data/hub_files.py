"""The files of a data set on a hub, read here as files from the disk are.

datasets knows which files a set consists of (its card, subset, split, folder) and is asked only
that: read by it, 007 would become 7, None and NA nulls, and texts that look like dates dates. The
files come to the hub's own cache one by one; a stream fetches each when it is reached.
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

from backend import datafiles
from backend.contract.base import boundary
from backend.contract.base.files import dump, read_json, write_atomic
from backend.contract.base.home import saves
from backend.contract.base.problems import DataError, Params, Problem
from backend.contract.registry.dataset_info import SUFFIXES, Entry, kind
from backend.running.deadline import retried
from backend.running.failures import is_disk_full

AT_ONCE = 8  # files that are fetched at the same time
# What a set's card may say of its files that is so or does not matter here; separators of CSV
# files are recognised. Anything else (names of columns, a field within a file) is not obeyed.
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
    """A file: its name as people are told it, and what brings it here."""

    name: str
    fetch: Callable[[], Path]


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `last` (None: all that follow) of some files one after the other."""

    shards: list[Shard]
    first: int = 0
    last: int | None = None


@dataclass(frozen=True)
class HubFiles:
    """What a split of a set consists of, in its order."""

    pieces: list[Piece]

    def fetch(self) -> None:
        """Bring every file here. Raises DataError where the hub does not answer."""
        shards = [shard for piece in self.pieces for shard in piece.shards]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda shard: shard.fetch(), shards))

    def whole(self) -> list[Path] | None:
        """The files, fetched, of a split that is not a part of one; None of such a part."""
        if any(piece.first or piece.last is not None for piece in self.pieces):
            return None
        self.fetch()
        return [shard.fetch() for piece in self.pieces for shard in piece.shards]

    def named(self) -> Iterator[tuple[str, Path]]:
        """Each file with its name. Raises as fetch does."""
        for piece in self.pieces:
            for shard in piece.shards:
                yield shard.name, shard.fetch()

    def rows(self) -> Iterator[tuple[str, int, datafiles.Row]]:
        """Every row with its file and line. Raises as datafiles.rows and fetch do."""
        for piece in self.pieces:
            yield from islice(_rows(piece.shards), piece.first, piece.last)

    def gap(self) -> str:
        """A file that is one of several by its name (-00000-of-00005) where not all are there."""
        names = [shard.name for piece in self.pieces for shard in piece.shards]
        counts = Counter(numbered.sub(r"-of-\1", name) for name in names)
        for name in names:
            total = numbered.search(name)
            if total and counts[numbered.sub(r"-of-\1", name)] < int(total[1]):
                return name
        return ""


def unreachable(name: str) -> DataError:
    """A hub that does not answer, or has no file of this set here."""
    problem = Problem(code="dataset_hub_unreachable", field="dataset", params={"name": name})
    return DataError(problem)


def registered(error: DataError, entry: Entry) -> DataError:
    """An error that names the set (`set`) as the registry does, and its id on the hub."""
    name = entry.name if entry.name == entry.hub_id else f"{entry.name} ({entry.hub_id})"
    more = {"name": name, "set": entry.name}
    return DataError(
        *(replace(problem, params={**problem.params, **more}) for problem in error.problems)
    )


def find(place: str, entry: Entry, cache_dir: str | None) -> HubFiles:
    """The files of the entry's split; `place`: an id on the hub, or a folder with all its files.

    Raises DataError: no such split, files that are not read here; and what load_dataset raises
    where there is no such set or subset (ValueError, RuntimeError, OSError, HTTPError).
    """
    import datasets

    if place != entry.hub_id:
        boundary.add(Path(place))
    selection = {"name": entry.subset, "data_dir": entry.folder}
    builder = retried(lambda: datasets.load_dataset_builder(place, **selection))
    _refuse_unread(builder.config, entry)
    listed = {str(split): list(names) for split, names in builder.config.data_files.items()}
    files = _of(listed, entry, cache_dir, None if place == entry.hub_id else Path(place))
    if place == entry.hub_id:
        path = _list_path(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dump(listed))
    return files


def known_before(entry: Entry, cache_dir: str | None) -> HubFiles | None:
    """What `find` said of this set the last time that the hub was asked, for a machine without a
    network; None where it never was. Raises DataError as find does."""
    listed = read_json(_list_path(entry))
    return _of(dict(listed), entry, cache_dir, None) if listed else None


def _list_path(entry: Entry) -> Path:
    query = json.dumps([entry.hub_id, entry.subset, entry.folder])
    name = hashlib.sha256(query.encode()).hexdigest()[:32]
    return saves() / ".cache" / "hub" / f"{name}.json"


def _of(
    listed: dict[str, Any], entry: Entry, cache_dir: str | None, folder: Path | None
) -> HubFiles:
    """The files of these names: of a hub, or of the folder that holds all of the set's."""
    if folder is not None:
        made = {split: [_inside(name, folder, entry) for name in listed[split]] for split in listed}
    else:
        made = {
            split: [_shard(name, entry, cache_dir) for name in listed[split]] for split in listed
        }
    files = HubFiles(list(_pieces(entry, made)))
    _refuse_others(files, entry)
    return files


def _inside(name: str, folder: Path, entry: Entry) -> Shard:
    """A file of the set's folder. Raises DataError where its card names another of the machine."""
    path = Path(os.path.normpath(name))
    if not path.is_relative_to(folder.resolve()):
        raise _elsewhere(name, entry)
    return Shard(f"{entry.hub_id}/{path.relative_to(folder.resolve())}", lambda: path)


def _elsewhere(name: str, entry: Entry) -> DataError:
    params: Params = {"name": entry.hub_id, "file": name}
    return DataError(Problem(code="dataset_hub_elsewhere", field="dataset", params=params))


def _shard(name: str, entry: Entry, cache_dir: str | None) -> Shard:
    known = hub_file.fullmatch(name)
    if known is None:
        raise _elsewhere(name, entry)

    def fetch() -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HTTPError

        repo, path, revision = known["repo"], known["path"], known["revision"]
        place = {"repo_type": "dataset", "revision": revision, "cache_dir": cache_dir}
        try:
            file = Path(retried(lambda: hf_hub_download(repo, path, **place)))
        except (OSError, HTTPError) as error:
            if is_disk_full(error):
                raise
            logger.warning("%s: %s", path, error)
            raise registered(unreachable(entry.hub_id), entry) from None
        boundary.add(file)
        return file

    return Shard(f"{known['repo']}/{known['path']}", fetch)


def _pieces(entry: Entry, shards: dict[str, list[Shard]]) -> Iterator[Piece]:
    """train, test[:100], train[50%:]+test: as datasets reads such words."""
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


def _rows(shards: list[Shard]) -> Iterator[tuple[str, int, datafiles.Row]]:
    for shard in shards:
        for line, row in datafiles.rows(shard.fetch()):
            yield shard.name, line, row


def _refuse_unread(config: Any, entry: Entry) -> None:
    """Raises DataError where the set's card asks for what is not done here."""
    options = [
        option.name
        for option in dataclasses.fields(config)
        if option.name not in UNDERSTOOD and getattr(config, option.name) != option.default
    ]
    if options:
        params: Params = {"name": entry.hub_id, "options": ", ".join(options)}
        raise DataError(Problem(code="dataset_hub_options", field="dataset", params=params))


def _refuse_others(files: HubFiles, entry: Entry) -> None:
    """Raises DataError for files that are of no kind read here."""
    names = [shard.name for piece in files.pieces for shard in piece.shards]
    other = next((name for name in names if kind(name) not in SUFFIXES), None)
    if other is not None:
        params: Params = {"name": entry.hub_id, "file": other, "types": ", ".join(SUFFIXES)}
        raise DataError(Problem(code="dataset_hub_format", field="dataset", params=params))
