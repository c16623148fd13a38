"""Where things lie: the working folder with data/ and saves/, and what ships with the code.

A relative path to something that is there is looked for in the current folder (where the command
was given, or the page's server started), then in the working folder: `find`. What is written goes
to the working folder: `output`. Where TUNEBOARD_HOME is not set the two folders are one.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = "dataset_info.json"
STARTED_IN = "TUNEBOARD_STARTED_IN"  # of a run: where it was started, for messages only


def home() -> Path:
    """The working folder: TUNEBOARD_HOME, else the current folder (absolute)."""
    return Path(os.environ.get("TUNEBOARD_HOME") or os.getcwd()).expanduser().absolute()


def saves() -> Path:
    """The folder of all runs and local models."""
    return home() / "saves"


def data(path: str | Path = "data") -> Path:
    """The folder of data sets that a path means: the first place that holds dataset_info.json.

    The sets that ship with a checkout of the code are nobody's own: prepare() copies them.
    """
    ours = resource_folder("data")
    candidates = [each for each in places(path) if each != ours or each.parent == home()]
    return next((each for each in candidates if os.path.lexists(each / REGISTRY)), candidates[-1])


def places(path: str | Path) -> tuple[Path, ...]:
    """Where a path is looked for, in this order; an absolute one is one place."""
    relative_path = Path(path).expanduser()
    return tuple(dict.fromkeys(root / relative_path for root in (_current(), home())))


def find(path: str | Path) -> Path:
    """The first of the places that is there, else the last."""
    candidates = places(path)
    return next((each for each in candidates if os.path.lexists(each)), candidates[-1])


def describe_places(path: str | Path) -> str:
    """The places of a path that is not there, for a message. Among them is the folder where the
    run was started that says so: what lies there has been made absolute before (see paths)."""
    relative_path, started = Path(path).expanduser(), os.environ.get(STARTED_IN)
    first = (Path(started) / relative_path,) if started else ()
    return ", ".join(map(str, dict.fromkeys((*first, *places(path)))))


def caller_environment() -> dict[str, str]:
    """The environment that tells a child, which stands in the working folder, where its person
    stands."""
    return {STARTED_IN: os.environ.get(STARTED_IN) or str(_current())}


def output(path: str | Path) -> Path:
    """Where a path for what is written leads: relative ones lie in the working folder."""
    return home() / Path(path).expanduser()


def _current() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed meanwhile
        return home()


def relative(path: Path) -> str:
    """A path as people write it: from the working folder where it lies inside."""
    return str(path.relative_to(home())) if path.is_relative_to(home()) else str(path)


def resource_folder(name: str) -> Path:
    """A folder that ships with the code: in a checkout the top level, in a wheel backend/share."""
    packed = ROOT / "backend" / "share" / name
    return packed if packed.is_dir() else ROOT / name


def code_path(env: Mapping[str, str]) -> dict[str, str]:
    """PYTHONPATH with which a child finds this code in a checkout, perhaps not installed; {} where
    it is installed as a wheel.

    Children are started with -P: a folder named backend where the person stands is not ours.
    """
    if not (ROOT / "pyproject.toml").is_file():
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))}


def prepare() -> None:
    """Make data/ (with the demo sets) and saves/ in the working folder where they are missing.

    An empty data/ is filled: a new volume of a container is one.
    """
    saves().mkdir(parents=True, exist_ok=True)
    target = data()
    if target.is_dir() and not any(target.iterdir()):
        shutil.copytree(resource_folder("data"), target, dirs_exist_ok=True)
    elif not target.exists():
        part = target.with_name(f".data-{os.getpid()}")
        shutil.copytree(resource_folder("data"), part)
        try:
            part.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(part)
