"""The folder of a finished export as one zip file, streamed for download and never written to disk.

Nothing is compressed, since weights hardly shrink: the length is known before the first byte, and
the same folder always gives the same bytes, so that a download can be taken up where it broke off.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from zipstream import ZipStream

from app.services.runs import runs
from backend.contract.folders.home import saves
from backend.contract.runs import run_folder
from backend.contract.runs.model_folders import result_folder
from backend.contract.runs.run_folder import RunView, State


@dataclass(frozen=True)
class Archive:
    """The files of one export, which lie in `folder`; links and what they lead to are left out."""

    folder: Path
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The name of the zip file."""
        return f"{self.folder.name}.zip"

    @property
    def size(self) -> int:
        """Bytes of the whole zip file."""
        return len(self._zip())

    @property
    def stamp(self) -> str:
        """Changes when one of the files does."""
        digest = hashlib.sha256()
        for path in self.files:
            status = path.stat()
            digest.update(
                f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "replace")
            )
        return digest.hexdigest()[:32]

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `begin` up to but not including `end`.

        The files before `begin` are read as well: the directory at the end of a zip file has the
        checksum of each. Raises OSError where a file is gone.
        """
        position = 0
        for part in self._zip():
            after = position + len(part)
            if after > begin:
                yield part[max(0, begin - position) : end - position]
            if after >= end:
                return
            position = after

    def _zip(self) -> ZipStream:
        stream = ZipStream(sized=True)
        for path in self.files:
            stream.add_path(path, str(Path(self.folder.name) / path.relative_to(self.folder)))
        return stream


def find(name: str) -> Archive | None:
    """The archive of the export that this run has made, named as for `runs.find_folder`; None where
    the page lists no such run, it made none, or the folder is gone."""
    run = runs.find_folder(name)
    return None if run is None else of_run(run_folder.read(run))


def of_run(view: RunView) -> Archive | None:
    """The archive of what a run has exported; None where it has not."""
    if view.task != "export" or view.state is not State.SUCCEEDED:
        return None
    folder = result_folder(view)
    paths = sorted(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else []
    files = [path for path in paths if path.is_file() and _is_inside(path, folder)]
    return Archive(folder, tuple(files)) if files else None


def link(view: RunView) -> str:
    """The address of the archive; "" where there is none."""
    if of_run(view) is None or not view.path.is_relative_to(saves()):
        return ""
    return f"own/export?run={quote(str(view.path.relative_to(saves())))}"


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in the folder itself, not behind a link."""
    return path.resolve() == folder.resolve() / path.relative_to(folder)
