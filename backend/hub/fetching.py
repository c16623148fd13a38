"""Fetch files of a repository on the Hugging Face hub: the one way for models and data sets.

What has arrived stays: a large file that is stopped or breaks off goes on from there, in another
process too, and enters the cache only once its hash is right. huggingface_hub 2.4 would have each
process begin it anew.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub import utils as hub_utils
from huggingface_hub.file_download import DryRunFileInfo, http_get, repo_folder_name

from backend.contract.models import card_head
from backend.contract.system.files import take_lock
from backend.contract.texts.problems import DiskFullError, ModelError, Problem
from backend.running.deadline import answers_in_time, retry

DEADLINE = 12.0  # seconds until the hub must have answered once
LISTING = 60.0  # seconds until it must have told the sizes of all files
MARGIN = 2**28  # bytes that stay free
# The files of a repository that make up a model; its card names the license.
FILES = (
    *("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"),
    *("LICENSE*", "NOTICE*", "USE_POLICY*", card_head.NAME),
)
# A star passes folders: "*.safetensors" alone takes second copies, as of original/, as well.
SECOND_COPIES = ("*/*.safetensors",)
CODE = ("*.py",)  # of models whose code is trusted
Kind = Literal["model", "dataset"]
SHA256 = re.compile(r"[0-9a-f]{64}")  # the name of a large file in the cache is its hash


@dataclass(frozen=True)
class Repository:
    """A model or data set on the hub, and which of its files are wanted.

    cache     the folder of the cache; None for that of huggingface_hub
    patterns  what the names of wanted files match; None for all files
    refused   what they must not match
    """

    name: str
    revision: str = "main"
    kind: Kind = "model"
    cache: str | None = None
    patterns: tuple[str, ...] | None = None
    refused: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the cache keeps its files."""
        return self.root / str(repo_folder_name(repo_id=self.name, repo_type=self.kind))

    @property
    def blobs(self) -> Path:
        """Where it keeps their bytes, each file under the name of its hash."""
        return self.folder / "blobs"

    @property
    def root(self) -> Path:
        """The folder of the cache."""
        return Path(self.cache or constants.HF_HUB_CACHE)

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, in the words of huggingface_hub's functions beside its name."""
        return {"repo_type": self.kind, "revision": self.revision, "cache_dir": self.cache}

    def snapshot(self, **more: Any) -> Any:
        """The result of snapshot_download for the wanted files."""
        return snapshot_download(
            self.name,
            **self.place,
            allow_patterns=None if self.patterns is None else [*self.patterns],
            ignore_patterns=[*self.refused],
            **more,
        )


@dataclass(frozen=True)
class Plan:
    """What a download has to fetch: the bytes of all files, and of those that are not there yet."""

    total: int
    missing: int
    files: tuple[DryRunFileInfo, ...] = ()


def make_plan(repository: Repository, deadline: float = DEADLINE) -> Plan:
    """Ask the hub for the sizes of the files. Raises what huggingface_hub raises, and TimeoutError
    where the hub has not answered within `deadline` seconds."""
    place = {"repo_type": repository.kind, "revision": repository.revision}
    files: list[DryRunFileInfo] = []

    def ask() -> None:
        # Refusals come at once from here; snapshot_download of 2.4 waits and hides their status.
        HfApi().repo_info(repository.name, timeout=deadline, **place)

    def ask_for_sizes() -> None:
        files.extend(repository.snapshot(dry_run=True))

    for request, seconds in ((ask, deadline), (ask_for_sizes, LISTING)):
        if not answers_in_time(partial(retry, request), seconds):
            raise TimeoutError(f"{repository.name}: no answer within {seconds:g} s")
    missing = tuple(file for file in files if file.will_download)
    return Plan(_sum_sizes(files), _sum_sizes(missing), missing)


def _sum_sizes(files: Iterable[DryRunFileInfo]) -> int:
    return sum(file.file_size or 0 for file in files)


def require_room(repository: Repository, plan: Plan) -> None:
    """Raise DiskFullError where there is no room for what is missing of the files."""
    require_bytes(repository.root, plan.missing - _count_arrived(repository))


def require_bytes(place: Path, missing: int) -> None:
    """Raise DiskFullError where so many bytes have no room in a folder, which is made."""
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if missing > 0 and free < missing + MARGIN:
        needed, room = round(missing / 1e9, 1), round(free / 1e9, 1)
        params: dict[str, str | int | float] = {"path": str(place), "needed": needed, "free": room}
        raise DiskFullError(Problem(code="hub_disk", params=params))


def _count_arrived(repository: Repository) -> int:
    """The bytes of files that have arrived in part."""
    return sum(part.stat().st_size for part in repository.blobs.glob("*.incomplete"))


def fetch(repository: Repository, plan: Plan) -> Path:
    """Fetch what a plan says is missing, and return the folder with all wanted files.

    Raises what huggingface_hub raises, and ModelError where a file has arrived damaged.
    """
    for file in plan.files:
        _fetch_large(replace(repository, revision=file.commit_hash), file.filename)
    return Path(retry(repository.snapshot))


def find_snapshot(repository: Repository) -> Path:
    """The folder of a model that was fetched before, by whatever program; its card may be missing,
    as it is in downloads of older versions. Raises LocalEntryNotFoundError where more is."""
    without_card = replace(repository, refused=(*repository.refused, card_head.NAME))
    return Path(without_card.snapshot(local_files_only=True))


def fetch_file(repository: Repository, path: str) -> Path:
    """Fetch one file, unless it is there, and return its path. Raises as `fetch` does."""
    known = find_in_cache(repository, path)
    if known is not None:
        return known
    if not constants.HF_HUB_OFFLINE:
        _fetch_large(repository, path)
    return Path(retry(lambda: hf_hub_download(repository.name, path, **repository.place)))


def find_in_cache(repository: Repository, path: str) -> Path | None:
    """The place of a file that was fetched; None where it was not."""
    known = try_to_load_from_cache(repository.name, path, **repository.place)
    return Path(known) if isinstance(known, str) else None


def _fetch_large(repository: Repository, path: str) -> None:
    """Fetch a large file into the cache, from where an earlier try has come to.

    Files that are small, or too large for HTTP, are left to huggingface_hub.
    """
    place = {"repo_type": repository.kind, "revision": repository.revision}
    url = hf_hub_url(repository.name, path, **place)
    metadata = retry(lambda: get_hf_file_metadata(url, timeout=DEADLINE))
    digest, size = metadata.etag or "", metadata.size or 0
    if not SHA256.fullmatch(digest) or size > constants.MAX_HTTP_DOWNLOAD_SIZE:
        return
    locks = repository.root / ".locks" / repository.folder.name
    for folder in (repository.blobs, locks):
        folder.mkdir(parents=True, exist_ok=True)
    headers = hub_utils.build_hf_headers()
    if urlsplit(metadata.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)
    lock = take_lock(locks / f"{digest}.tuneboard", None)
    assert lock is not None
    try:
        if (repository.blobs / digest).exists():  # another process was first
            return
        part = repository.blobs / f"{digest}.incomplete"
        retry(lambda: append(part, metadata.location, size, headers))
        require_digest(part, digest, path)
        os.replace(part, repository.blobs / digest)
    finally:
        os.close(lock)


def append(part: Path, url: str, size: int, headers: dict[str, Any]) -> None:
    """Append to a file what it lacks of so many bytes. Raises what huggingface_hub raises."""
    with part.open("ab") as target:
        done = target.tell()
        if done < size:
            http_get(url, target, resume_size=done, headers=headers, expected_size=size)


def require_digest(file: Path, digest: str, name: str) -> None:
    """Compare a file with the SHA-256 that the hub has named it by. One that differs is removed, so
    that the next download fetches it anew. Raises ModelError."""
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() == digest:
            return
    file.unlink()
    raise ModelError(Problem(code="hub_checksum", params={"file": Path(name).name}))
