"""Copy a person's file into data/<name>/, with a hash of its content in its name.

data/<name>/<name>-<first 12 digits of the SHA-256>.jsonl: the same content is the same file, and
other content under the same name is another file, so that the data of a run never change.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.services.data.upload_folder import remove_unlocked
from app.settings import upload_limit
from backend.contract.arguments.names import check_name
from backend.contract.folders.home import data
from backend.contract.registry import registry
from backend.contract.registry.dataset_info import PACKED, kind
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, DiskFullError, Problem
from backend.contract.texts.terminal_text import binary_size
from backend.datafiles import reading, refusals
from backend.datafiles.compressed import unpack
from backend.datafiles.refusals import file_error
from backend.datafiles.text import refuse_foreign

CHUNK = 1024 * 1024  # bytes
PART = ".part-"
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz")
FULL = {errno.ENOSPC, errno.EDQUOT}

Progress = Callable[[float], None]


@dataclass(frozen=True)
class StoredFile:
    """A file or folder in data/, with the SHA-256 and the bytes of its unpacked content.

    new  False where this content was there already
    """

    path: Path
    sha256: str
    size: int
    new: bool


def take(
    source: Path, name: str, *, inside: Path | None = None, progress: Progress | None = None
) -> StoredFile:
    """Copy a file or folder into data/<name>/, unpacked, and remove it from `inside` (uploads).

    `progress` gets the share that is copied, 0 to 1. Raises DataError for a bad name, no regular
    file, an unknown type, hostile content or too many bytes; DiskFullError. Nothing is left then.
    """
    target = _folder(name)
    try:
        sources = _sources(source, inside)
        room = _Copy(upload_limit(), sum(size for _, size in sources), progress)
        target.mkdir(parents=True, exist_ok=True)
        _refuse_full(target, room.total)
        with _copy_folder(target) as part:
            hashes = [_bring(each, part, inside, room) for each, _ in sources]
            stored = _settle(target, part, source.is_dir(), hashes, room.written)
    except OSError as error:
        raise _write_error(target, error) from None
    finally:
        _drop_if_empty(target)
    if inside is not None:
        _forget(source, inside)
    return stored


def check(source: Path, inside: Path | None) -> None:
    """Raise DataError where `take` would refuse this file or folder before reading it."""
    _sources(source, inside)


def discard(upload: Path, inside: Path) -> None:
    """Remove an upload that is not wanted."""
    if upload.is_relative_to(inside):
        _forget(upload, inside)


def drop(stored: Path) -> None:
    """Remove what `take` has stored, where it could not be registered."""
    if stored.is_dir():
        shutil.rmtree(stored, ignore_errors=True)
    else:
        stored.unlink(missing_ok=True)
    _drop_if_empty(stored.parent)


def sweep() -> None:
    """Remove the rest of aborted copies in data/. A copy that goes on is locked by its process."""
    for part in data().glob(f"*/{PART}*"):
        remove_unlocked(part)
        _drop_if_empty(part.parent)


def _folder(name: str) -> Path:
    """The folder data/<name>. Raises DataError for a bad name, or one that differs only in case."""
    problem = check_name(name)
    if problem is not None:
        raise DataError(problem)
    present = {each.name: None for each in data().iterdir()} if data().is_dir() else {}
    twin = registry.find_twin(name, present)
    if twin:
        params = {"name": name, "other": twin, "path": str(data())}
        raise DataError(Problem(code="dataset_twin", field="name", params=params))
    boundary.require(data() / name)
    return data() / name


def _sources(source: Path, inside: Path | None) -> list[tuple[Path, int]]:
    """The files to copy with their sizes in bytes. Raises DataError."""
    lowered = source.name.lower()
    if lowered.endswith((*ARCHIVES, *(f".tar{packing}" for packing in PACKED))):
        raise file_error("file_archive", source)
    if inside is not None and not (source.is_relative_to(inside) and source.resolve() == source):
        raise file_error("data_file_missing", source)
    return [(each, each.stat().st_size) for each in reading.files(source)]


@dataclass
class _Copy:
    """Counts the bytes of a copy against the limit. All numbers are bytes."""

    limit: int
    total: int
    progress: Progress | None
    read: int = 0
    written: int = 0

    def add(self, file: Path, written: int, read: int) -> None:
        """Count bytes written of a file; `read` are the bytes read of the packed file so far."""
        self.written += written
        if self.written > self.limit:
            raise file_error("upload_too_large", file, limit=binary_size(self.limit))
        if self.progress:
            self.progress(min(1.0, (self.read + read) / max(1, self.total)))


def _bring(source: Path, part: Path, inside: Path | None, room: _Copy) -> tuple[str, str]:
    """Copy and unpack one file into the folder `part`; returns its new name and SHA-256."""
    stem = source.stem if source.suffix.lower() in PACKED else source.name
    target, digest = part / stem, hashlib.sha256()
    with _open(source, inside) as raw, target.open("xb") as out:
        size = os.fstat(raw.fileno()).st_size
        with unpack(source, raw) as content:
            while chunk := content.read(CHUNK):
                room.add(source, len(chunk), raw.tell())
                digest.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
        room.read += size
    _inspect(target, source, room.limit)
    return stem, digest.hexdigest()


def _inspect(copied: Path, source: Path, limit: int) -> None:
    """Raise DataError, naming the source, where the content does not fit the type."""
    try:
        if kind(copied.name) == ".parquet":
            _inspect_parquet(copied, limit)
        elif kind(copied.name) in reading.COLUMNAR:
            reading.COLUMNAR[kind(copied.name)].count(copied)
        else:
            refuse_foreign(copied)
    except DataError as error:
        problem = error.problems[0]
        params = {**problem.params, "file": source.name}
        raise DataError(Problem(code=problem.code, params=params)) from None


def _inspect_parquet(file: Path, limit: int) -> None:
    rows, unpacked = reading.COLUMNAR[".parquet"].extent(file)
    refusals.refuse_explosive(file, rows, unpacked, 4 * limit)


@contextmanager
def _open(file: Path, inside: Path | None) -> Iterator[BinaryIO]:
    """Open a regular file without following links; below `inside` in no part of its path."""
    try:
        handle = boundary.open_own(file) if inside is None else boundary.open_below(inside, file)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise file_error("file_link", file) from None
        raise
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise file_error("file_not_regular", file)
        yield stream


@contextmanager
def _copy_folder(target: Path) -> Iterator[Path]:
    """Make a folder to copy into, locked while this process lives, and remove it at the end."""
    part = target / f"{PART}{secrets.token_hex(6)}"
    part.mkdir(mode=0o700)
    boundary.allow(part)  # our own, although it is hidden
    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield part
    finally:
        os.close(handle)
        shutil.rmtree(part, ignore_errors=True)


def _settle(
    target: Path, part: Path, folder: bool, hashes: list[tuple[str, str]], size: int
) -> StoredFile:
    """Move the copy to its name, which depends on its content."""
    if folder:
        joined = "".join(f"{name}\0{digest}\n" for name, digest in hashes)
        sha256 = hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()
        final, copied = target / f"{target.name}-{sha256[:12]}", part / "folder"
        copied.mkdir()
        for name, _ in hashes:
            (part / name).rename(copied / name)
    else:
        ((name, sha256),) = hashes
        final, copied = target / f"{target.name}-{sha256[:12]}{kind(name)}", part / name
    if final.exists():
        return StoredFile(final, sha256, size, new=False)
    copied.rename(final)
    return StoredFile(final, sha256, size, new=True)


def _refuse_full(target: Path, needed: int) -> None:
    if shutil.disk_usage(target).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write_error(target: Path, error: OSError) -> DataError | DiskFullError:
    if error.errno in FULL:
        return DiskFullError(Problem(code="disk_full_data", params={"path": str(target)}))
    return file_error(
        "file_unreadable", Path(error.filename or target), reason=error.strerror or ""
    )


def _drop_if_empty(target: Path) -> None:
    try:
        target.rmdir()
    except OSError:  # it is not empty
        return


def _forget(source: Path, inside: Path) -> None:
    """Remove an uploaded file and its own folder."""
    source.unlink(missing_ok=True)
    if source.parent != inside:
        _drop_if_empty(source.parent)
