"""The file boundary: which folders are opened for a visitor of the page.

The page sets the allowed folders (`confine`) for itself and, in their environment, for all
processes that it starts. One that was started in a terminal has none, and opens what its user may.

What a visitor names is judged by where it really lies (`refusal`), and opened (`open_file`) from an
allowed folder down without following a link, so that nothing which is put in the way between the
two leads out. Hidden files and folders below an allowed folder are not a visitor's: the working
folder may be a home with .ssh and .kaggle in it, and the uploads of others lie in .cache.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

from backend.contract.base.home import data, home, places, resource_folder, saves
from backend.contract.base.problems import DataError, Problem

CODE = "path_outside"  # of the problem
VARIABLE = "TUNEBOARD_ROOTS"  # the allowed folders as a JSON list of real paths
MODELS = ("saves/models", "models")  # a link in these was put there by whoever runs Tuneboard
NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
HUB = ("models--", "datasets--")
DEPTH = 2  # folders below a model's own in which links are looked for

_fetched: set[Path] = set()  # real paths


def confine(allowed: Iterable[Path]) -> None:
    """Bound this process, and those that it starts, to the working folder and to `allowed`.

    data/, saves/ and models/ may be links that lead out of the working folder: they count as what
    they lead to.
    """
    folders = [home(), data(), saves(), *places("models"), resource_folder("data"), *allowed]
    os.environ[VARIABLE] = json.dumps([os.path.realpath(folder) for folder in folders])


def allow(place: Path) -> None:
    """Allow, in this process alone, what it has fetched itself: a folder, or a file of a hub."""
    _fetched.add(Path(os.path.realpath(_of_hub(place))))


def refusal(path: Path, field: str = "") -> Problem | None:
    """Why a file or folder (it need not exist) that a visitor named is not used, or None."""
    return None if _is_inside(path, _roots()) else _outside(path, field)


def model_refusal(folder: Path, field: str = "") -> Problem | None:
    """As `refusal` of the folder of a model or an adapter, and of the links that lie in it."""
    allowed = _roots()
    if allowed is None:
        return None
    allowed = (*allowed, *_link_targets(folder))
    paths = (folder, *_links(folder)) if _is_inside(folder, allowed) else (folder,)
    outside = (path for path in paths if not _is_inside(path, allowed))
    return next((_outside(path, field) for path in outside), None)


def require(path: Path, field: str = "") -> None:
    """Raises DataError where `refusal` gives a reason."""
    problem = refusal(path, field)
    if problem is not None:
        raise DataError(problem)


def open_file(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that a visitor named: an `opener` for open(). Raises DataError, OSError."""
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
    """Open a path in a folder; links are followed in no part of it. Raises OSError (ELOOP: a link).

    A pipe is not waited for.
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
    """Open a file that a run has written: an `opener` for open(), which follows no link to it."""
    return os.open(path, flags | NO_LINK)


def _roots() -> tuple[Path, ...] | None:
    """The allowed folders as real paths; None in a process without bounds."""
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
    """The allowed folder in which a real path lies without being hidden there."""
    for root in allowed:
        if real.is_relative_to(root):
            below = real.relative_to(root).parts
            if not any(name.startswith(".") for name in below):
                return root
    return None


def _link_targets(folder: Path) -> Iterator[Path]:
    """What a link in saves/models or models leads to, where the folder is or lies in such a one."""
    folder = Path(os.path.normpath(folder))
    for parent in chain.from_iterable(map(places, MODELS)):
        if folder.is_relative_to(parent) and folder != parent:
            model = parent / folder.relative_to(parent).parts[0]
            yield Path(os.path.realpath(_of_hub(Path(os.path.realpath(model)))))


def _of_hub(folder: Path) -> Path:
    """The whole of a model or data set in the cache of the Hugging Face hub, where a file or
    folder lies in one: what is in models--NAME/snapshots are links to files in its blobs."""
    snapshots = (each for each in folder.parents if each.name == "snapshots")
    wholes = (each.parent for each in snapshots if each.parent.name.startswith(HUB))
    return next(wholes, folder)


def _links(folder: Path) -> Iterator[Path]:
    """The links in a folder and a little below."""
    depth = len(folder.parts)
    for place, folders, files in os.walk(folder):
        yield from (path for name in folders + files if os.path.islink(path := Path(place, name)))
        if len(Path(place).parts) - depth >= DEPTH:
            folders.clear()


def _outside(path: Path, field: str = "") -> Problem:
    return Problem(code=CODE, field=field, params={"path": str(path)})
