"""The file boundary: the folders that a visitor of the page may open.

The page sets the allowed folders (`confine`) for itself and, in their environment, for all
processes that it starts. A process that was started in a terminal has no boundary.

A path is judged by its real place (`refusal`), and opened (`open_file`) from an allowed folder down
without following a link, so that a link made between the two steps does not lead out. Hidden files
and folders are refused: the working folder may be a home with .ssh in it, and the uploads of other
visitors lie in .cache.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

from backend.contract.folders.home import data, home, resource_folder, saves, search_paths
from backend.contract.texts.problems import DataError, Problem

CODE = "path_outside"  # of the problem
VARIABLE = "TUNEBOARD_ROOTS"  # the allowed folders as a JSON list of real paths
MODELS = ("saves/models", "models")  # links in these were made by whoever runs Tuneboard
NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
HUB = ("models--", "datasets--")
DEPTH = 2  # folders below a model's own in which links are looked for

_fetched: set[Path] = set()  # real paths


def confine(allowed: Iterable[Path]) -> None:
    """Confine this process, and those that it starts, to the working folder and to `allowed`.

    data/, saves/ and models/ may be links that lead out of the working folder: their targets are
    allowed.
    """
    folders = [home(), data(), saves(), *search_paths("models"), resource_folder("data"), *allowed]
    os.environ[VARIABLE] = json.dumps([os.path.realpath(folder) for folder in folders])


def allow(place: Path) -> None:
    """Allow, in this process alone, a folder or a file of a hub that it has downloaded itself."""
    _fetched.add(Path(os.path.realpath(_of_hub(place))))


def refusal(path: Path, field: str = "") -> Problem | None:
    """Why a file or folder that a visitor named is refused, or None. It need not exist."""
    return None if _is_inside(path, _roots()) else _outside(path, field)


def model_refusal(folder: Path, field: str = "") -> Problem | None:
    """As `refusal`, for the folder of a model or adapter and for the links in it."""
    allowed = _roots()
    if allowed is None:
        return None
    allowed = (*allowed, *_link_targets(folder))
    paths = (folder, *_links(folder)) if _is_inside(folder, allowed) else (folder,)
    outside = (path for path in paths if not _is_inside(path, allowed))
    return next((_outside(path, field) for path in outside), None)


def require(path: Path, field: str = "") -> None:
    """Raise DataError where `refusal` gives a reason."""
    problem = refusal(path, field)
    if problem is not None:
        raise DataError(problem)


def open_file(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that a visitor named; an `opener` for open(). Raises DataError, OSError."""
    allowed = _roots()
    if allowed is None:
        return os.open(path, flags | os.O_CLOEXEC)
    real = Path(os.path.realpath(path))
    root = _root_of(real, allowed)
    if root is None:
        raise DataError(_outside(Path(path)))
    try:
        return open_below(root, real, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:  # it has become a link since
            raise DataError(_outside(Path(path))) from None
        raise


def open_below(folder: Path, path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a path in a folder without following a link in any part of it.

    A pipe is opened without waiting for its writer. Raises OSError, with ELOOP for a link.
    """
    flags |= NO_LINK
    *between, last = path.relative_to(folder).parts or (".",)
    place = os.open(folder, FOLDER)
    try:
        for name in between:
            deeper = os.open(name, FOLDER | NO_LINK, dir_fd=place)
            os.close(place)
            place = deeper
        return os.open(last, flags, dir_fd=place)
    finally:
        os.close(place)


def open_own(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that a run has written, without following a link; an `opener` for open()."""
    return os.open(path, flags | NO_LINK)


def _roots() -> tuple[Path, ...] | None:
    """The allowed folders as real paths; None in a process without a boundary."""
    listed = os.environ.get(VARIABLE)
    return None if listed is None else (*_parse(listed), *_fetched)


@lru_cache(maxsize=1)
def _parse(listed: str) -> tuple[Path, ...]:
    return tuple(map(Path, json.loads(listed)))


def _is_inside(path: Path, allowed: tuple[Path, ...] | None) -> bool:
    if allowed is None:
        return True
    try:
        return _root_of(Path(os.path.realpath(path)), allowed) is not None
    except ValueError:  # a NUL in the name
        return False


def _root_of(real: Path, allowed: tuple[Path, ...]) -> Path | None:
    """The allowed folder that holds a real path in no hidden folder; None where there is none."""
    for root in allowed:
        if real.is_relative_to(root):
            below = real.relative_to(root).parts
            if not any(name.startswith(".") for name in below):
                return root
    return None


def _link_targets(folder: Path) -> Iterator[Path]:
    """The targets of links in saves/models and models that are or contain the folder."""
    folder = Path(os.path.normpath(folder))
    for parent in chain.from_iterable(map(search_paths, MODELS)):
        if folder.is_relative_to(parent) and folder != parent:
            model = parent / folder.relative_to(parent).parts[0]
            yield Path(os.path.realpath(_of_hub(Path(os.path.realpath(model)))))


def _of_hub(folder: Path) -> Path:
    """The whole folder of a model or data set in the cache of the Hugging Face hub, for a path in
    it: the files in models--NAME/snapshots are links to its blobs."""
    snapshots = (each for each in folder.parents if each.name == "snapshots")
    wholes = (each.parent for each in snapshots if each.parent.name.startswith(HUB))
    return next(wholes, folder)


def _links(folder: Path) -> Iterator[Path]:
    """The links in a folder and up to DEPTH folders below."""
    depth = len(folder.parts)
    for place, folders, files in os.walk(folder):
        yield from (path for name in folders + files if os.path.islink(path := Path(place, name)))
        if len(Path(place).parts) - depth >= DEPTH:
            folders.clear()


def _outside(path: Path, field: str = "") -> Problem:
    return Problem(code=CODE, field=field, params={"path": str(path)})
