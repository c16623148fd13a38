"""Create a folder that appears whole or not at all: it is built in a hidden place, then renamed."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.preflight import preflight
from backend.contract.system.files import make_readable, sync_folder
from backend.contract.texts.problems import DiskFullError, Problem, TuneboardError, UsageError
from backend.contract.texts.terminal_text import decimal_size
from backend.running.failures import is_disk_full

FIELD = "export_dir"  # the argument that names such a folder
SMALL_FILES = 50_000_000  # bytes: room for tokenizer and configs


@contextmanager
def scratch(target: Path, occupied: Callable[[], None]) -> Iterator[Path]:
    """An empty folder on the disk of `target` to build in; it is removed at the end in any case.

    Only one process at a time has it: another calls `occupied` (which may raise) and waits, and
    the next removes files of a killed one. The folder to be published goes inside it, so that no
    list of model folders shows it half-made. Raises OSError.
    """
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = _lock_folder(part, occupied)
    try:
        for path in part.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(handle)


@contextmanager
def new_model_folder(values: Arguments, target: Path, size: int) -> Iterator[Path]:
    """A folder to fill with a model of `size` bytes, which is `target` (export_dir) at the end.

    Raises UsageError where the place is taken (also meanwhile) or cannot be written, and
    DiskFullError.
    """
    try:
        with scratch(target, lambda: _refuse("export_dir_busy", target)) as part:
            folder = part / target.name
            folder.mkdir()
            yield folder
            require_free(values)
            publish(folder, target)
    except OSError as error:
        raise _explain(error, target, size) from error


def require_free(values: Arguments) -> None:
    """Raises UsageError where export_dir cannot be created."""
    problems = preflight.check_export(values)
    if problems:
        raise UsageError(*problems)


def publish(folder: Path, target: Path) -> None:
    """Give the finished folder its name; `target` must not exist, or be an empty folder.

    Its files become as readable as any new file.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    make_readable(files)
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    folder.rename(target)
    sync_folder(target.parent)


def _refuse(code: str, target: Path) -> None:
    """Raises UsageError about the folder."""
    raise UsageError(Problem(code=code, field=FIELD, params={"path": str(target)}))


def require_room(target: Path, size: int) -> None:
    """Raises DiskFullError where weights of `size` bytes and small files beside have no room."""
    if _free(target) < size + SMALL_FILES:
        raise _full(target, size)


def _explain(error: OSError, target: Path, size: int) -> TuneboardError:
    """The error to raise where a folder with weights of `size` bytes could not be written."""
    if is_disk_full(error):
        return _full(target, size)
    params = {"path": str(target), "reason": error.strerror or str(error)}
    return UsageError(Problem(code="export_not_written", field=FIELD, params=params))


def _full(target: Path, size: int) -> DiskFullError:
    params = {
        "path": str(target),
        "needed": decimal_size(size + SMALL_FILES),
        "free": decimal_size(_free(target)),
    }
    return DiskFullError(Problem(code="export_disk_full", field=FIELD, params=params))


def _free(target: Path) -> int:
    """Bytes free on the disk where the folder is or will be."""
    place = next(each for each in (target, *target.parents) if each.exists())
    return shutil.disk_usage(place).free


def _lock_folder(part: Path, occupied: Callable[[], None]) -> int:
    """Lock the folder itself, so that the lock ends with the process and leaves no file.

    Returns the open file descriptor that holds the lock.
    """
    while True:
        part.mkdir(exist_ok=True)
        try:
            handle = os.open(part, os.O_RDONLY)
        except FileNotFoundError:  # removed in between
            continue
        try:
            _lock(handle, occupied)
            if os.path.samestat(os.fstat(handle), part.stat()):
                return handle
        except FileNotFoundError:  # the process before has removed the folder: lock a new one
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, occupied: Callable[[], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        occupied()
        fcntl.flock(handle, fcntl.LOCK_EX)
