"""Folders: the working folder with data/ and saves/, and the resources that ship with the code.

`find` looks for a relative path in the current folder (of the command, or of the page's server),
then in the working folder. `output` puts what is written into the working folder. Without
TUNEBOARD_HOME the two folders are the same.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = "dataset_info.json"
CLEANING_REPORT = "cleaning_report.json"  # beside data that was cleaned or split
STARTED_IN = "TUNEBOARD_STARTED_IN"  # the folder in which a run was started, for messages only


def home() -> Path:
    """The working folder: TUNEBOARD_HOME, else the current folder (absolute)."""
    return Path(os.environ.get("TUNEBOARD_HOME") or os.getcwd()).expanduser().absolute()


def saves() -> Path:
    """The folder of all runs and local models."""
    return home() / "saves"


def data(path: str | Path = "data") -> Path:
    """The folder of data sets that a path means: the first place that holds dataset_info.json.

    The sets that ship with a checkout do not count (`prepare` copies them), unless their folder is
    named by its whole path.
    """
    ours = resource_folder("data")
    places = search_paths(path)
    candidates = [each for each in places if each != ours or each.parent == home()] or places
    return next((each for each in candidates if os.path.lexists(each / REGISTRY)), candidates[-1])


def search_paths(path: str | Path) -> tuple[Path, ...]:
    """The places where a path is looked for, in order. An absolute path is the only place."""
    relative_path = Path(path).expanduser()
    return tuple(dict.fromkeys(root / relative_path for root in (_current(), home())))


def find(path: str | Path) -> Path:
    """The first of the places where the path exists, else the last."""
    candidates = search_paths(path)
    return next((each for each in candidates if os.path.lexists(each)), candidates[-1])


def describe_places(path: str | Path) -> str:
    """The places of a missing path, for a message.

    In a run the folder in which it was started comes first: paths in that folder were made absolute
    before (see `run_names`), so a relative path was not found there.
    """
    relative_path, started = Path(path).expanduser(), os.environ.get(STARTED_IN)
    first = (Path(started) / relative_path,) if started else ()
    return ", ".join(map(str, dict.fromkeys((*first, *search_paths(path)))))


def caller_environment() -> dict[str, str]:
    """The environment variable that holds the folder of the person who started a child, whose own
    current folder is the working folder."""
    return {STARTED_IN: os.environ.get(STARTED_IN) or str(_current())}


def output(path: str | Path) -> Path:
    """The place of a path that is written. A relative one lies in the working folder."""
    return home() / Path(path).expanduser()


def _current() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed meanwhile
        return home()


def relative(path: Path) -> str:
    """A path as people write it: relative to the working folder where it lies inside."""
    return str(path.relative_to(home())) if path.is_relative_to(home()) else str(path)


def resource_folder(name: str) -> Path:
    """A folder that ships with the code: at the top of a checkout, in backend/share of a wheel."""
    packed = ROOT / "backend" / "share" / name
    return packed if packed.is_dir() else ROOT / name


def code_path(env: Mapping[str, str]) -> dict[str, str]:
    """PYTHONPATH with which a child finds this code in a checkout; {} where it is installed as a
    wheel.

    Children are started with -P, so that a folder named backend in the current folder is not
    imported.
    """
    if not (ROOT / "pyproject.toml").is_file():
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))}


def lacks_data() -> bool:
    """Whether the folder of data sets is missing or empty, so that `prepare` fills it."""
    target = data()
    return not target.exists() or (target.is_dir() and not any(target.iterdir()))


def names_missing_data(dataset_dir: object) -> bool:
    """Whether a value of dataset_dir names the folder that `prepare` is yet to fill; its sets are
    those of `resource_folder`."""
    return dataset_dir == "data" and lacks_data()


def prepare() -> None:
    """Make data/ (with the demo sets) and saves/ in the working folder where they are missing.

    An empty data/ is filled too: a new volume of a container is empty.
    """
    saves().mkdir(parents=True, exist_ok=True)
    if not lacks_data():
        return
    target = data()
    if target.is_dir():
        shutil.copytree(resource_folder("data"), target, dirs_exist_ok=True)
        return
    part = target.with_name(f".data-{os.getpid()}")
    shutil.copytree(resource_folder("data"), part)
    try:
        part.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(part)
