"""The folder of uploads: one for each page process, removed at its end."""

import fcntl
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from backend.contract.folders.home import home
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem

VARIABLE = "GRADIO_TEMP_DIR"  # the variable in which Gradio looks for the folder


@dataclass(frozen=True)
class UploadFolder:
    """The folder of uploads, private to this user and locked while the process lives."""

    path: Path
    handle: int

    def close(self) -> None:
        """Remove the folder with its content."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.handle)


def open_folder() -> UploadFolder:
    """Make the folder of this process, set it for Gradio, and remove those of ended processes.

    It lies in .cache/uploads of the working folder, unless GRADIO_TEMP_DIR names another place.
    """
    configured = os.environ.get(VARIABLE)
    parent = (Path(configured) if configured else home() / ".cache" / "uploads").resolve()
    parent.mkdir(parents=True, exist_ok=True)
    for each in parent.glob("uploads-*"):
        remove_unlocked(each)
    path = parent / f"uploads-{secrets.token_hex(8)}"
    path.mkdir(mode=0o700)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.environ[VARIABLE] = str(path)
    boundary.allow(path)
    return UploadFolder(path, handle)


def folder() -> Path | None:
    """The folder of this process's uploads; None where it was not made (in tests)."""
    configured = os.environ.get(VARIABLE)
    return Path(configured) if configured and Path(configured).is_dir() else None


def require(upload: Path) -> None:
    """Raise DataError where a file was not uploaded to this process."""
    inside = folder()
    known = inside is not None and upload.is_relative_to(inside) and upload.resolve() == upload
    if not known or not upload.is_file():
        raise DataError(Problem(code="data_file_missing", params={"file": upload.name}))


def remove_unlocked(folder: Path) -> None:
    """Remove a folder unless a living process holds it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(handle)
