"""A data set on a hub: its first rows before it is downloaded, and the download.

For a look a part of the first file is fetched. The rows are read as training reads them, and so is
the layout that is proposed for them. A download makes sure of room first, says how far it is, and
checks each large file by its hash.
"""

import json
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from huggingface_hub import HfFileSystem
from huggingface_hub import utils as hub_utils
from huggingface_hub.errors import HTTPError

from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import TEXTS, Entry, kind
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem
from backend.data import hub
from backend.data.hub_files import HubFiles, Shard, name_as_registered, unreachable
from backend.datafiles import arrow_values, samples, values
from backend.datafiles.detect import Proposal, propose
from backend.datafiles.samples import Sample
from backend.hub.download import Report, follow, name_refusals
from backend.hub.fetching import Plan, Repository, require_room

HEAD = 2**18  # bytes of a text file that are fetched
ROWS = 20
WHOLE = 2**24  # bytes of a file that is fetched whole, where its begin alone tells nothing
GZIP = 31  # zlib's word for a stream of gzip


@dataclass(frozen=True)
class Look:
    """The first rows of a set, how they would be read, and what a download of it would bring: the
    bytes of all files of its split."""

    rows: list[dict[str, Any]]
    size: int
    files: int
    proposal: Proposal

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "rows": [json.loads(values.dumps(row, default=str)) for row in self.rows],
            "size": self.size,
            "files": self.files,
            "kind": self.proposal.kind,
            "entry": self.proposal.entry,
            "reasons": [reason.to_json() for reason in self.proposal.reasons],
        }


def look(entry: Entry) -> Look:
    """Look at a set on the Hugging Face hub. Raises DataError where it cannot be had or read."""
    with _name_silence(entry):
        shards = list_shards(hub.load(entry, Arguments().replace(streaming=True)))
        sizes = [find_size(shard) for shard in shards]
        first = _sample(shards[0], sizes[0], entry)
    return Look(first.rows, sum(sizes), len(shards), propose(first))


def list_shards(files: HubFiles) -> list[Shard]:
    """The files of a split, each once."""
    shards = [shard for piece in files.pieces for shard in piece.shards]
    return list({shard.name: shard for shard in shards}.values())


def find_size(shard: Shard) -> int:
    """The bytes of a file on the hub. Raises what huggingface_hub raises."""
    return int(HfFileSystem().info(shard.source)["size"])


@contextmanager
def _name_silence(entry: Entry) -> Iterator[None]:
    """Within the block, a hub that breaks off becomes DataError."""
    try:
        yield
    except (HTTPError, OSError) as error:
        raise name_as_registered(unreachable(entry.hub_id), entry) from error


def _sample(shard: Shard, size: int, entry: Entry) -> Sample:
    """The first rows of a file."""
    suffixes = Path(shard.name).suffixes
    form = kind(shard.name)
    if form == ".parquet":
        return _keep(_read_parquet(shard), ".jsonl")
    if suffixes[-1] == ".gz":
        unpacked = zlib.decompressobj(GZIP).decompress(_read_head(shard))
        return _keep(_cut(unpacked, suffixes[-2], is_whole=size <= HEAD), suffixes[-2])
    if form in TEXTS and suffixes[-1] == form:
        return _keep(_cut(_read_head(shard), form, is_whole=size <= HEAD), form)
    if size > WHOLE:
        params = {"name": entry.hub_id, "file": shard.name}
        raise DataError(Problem(code="hub_look_form", params=params))
    return samples.sample(shard.fetch(), ROWS)


def _read_head(shard: Shard) -> bytes:
    with HfFileSystem().open(shard.source, "rb", cache_type="none") as stream:
        return bytes(stream.read(HEAD))


def _read_parquet(shard: Shard) -> bytes:
    """The first rows of a Parquet file, of which only the pages that hold them are fetched."""
    from pyarrow.parquet import ParquetFile

    with HfFileSystem().open(shard.source, "rb") as stream:
        batches = ParquetFile(stream).iter_batches(batch_size=ROWS)
        rows = islice((row for batch in batches for row in arrow_values.rows(batch)), ROWS)
        return "".join(values.dumps(row, default=str) + "\n" for row in rows).encode()


def _cut(text: bytes, form: str, *, is_whole: bool) -> bytes:
    """The begin of a file without its last line, which may be torn; an array of JSON is read up to
    there anyway."""
    if is_whole or form == ".json":
        return text
    return text[: text.rfind(b"\n") + 1]


def _keep(content: bytes, suffix: str) -> Sample:
    """Read rows as those of a file of this kind."""
    with tempfile.TemporaryDirectory(prefix="tuneboard-") as folder:
        path = Path(folder) / f"first{suffix}"
        path.write_bytes(content)
        boundary.allow(Path(folder))
        return samples.sample(path, ROWS)


def get(entry: Entry, report: Report) -> HubFiles:
    """Download the files of a set, where they are not there yet. Raises DataError, DiskFullError,
    and ModelError where the hub refuses or breaks off."""
    if entry.hub == "modelscope":
        return hub.load(entry, Arguments())
    hub_utils.disable_progress_bars()
    files = hub.load(entry, Arguments().replace(streaming=True))
    repository = Repository(entry.hub_id, kind="dataset")
    with name_refusals(entry.hub_id):
        sizes = {shard: find_size(shard) for shard in list_shards(files)}
        missing = sum(size for shard, size in sizes.items() if not shard.is_here())
        plan = Plan(sum(sizes.values()), missing)
        require_room(repository, plan)
        follow(repository.blobs, plan, report, files.fetch)
    return files
