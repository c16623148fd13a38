"""Where things lie: the working folder with data/ and saves/, and what ships with the code."""

import os
import shutil
from pathlib import Path


def home() -> Path:
    """The working folder: TUNEBOARD_HOME, else the current folder (absolute)."""
    return Path(os.environ.get("TUNEBOARD_HOME") or os.getcwd()).expanduser().absolute()


def saves() -> Path:
    """The folder of all runs and local models."""
    return home() / "saves"


def data() -> Path:
    """The default folder of data sets, with dataset_info.json."""
    return home() / "data"


def relative(path: Path) -> str:
    """A path as people write it: from the working folder where it lies inside."""
    return str(path.relative_to(home())) if path.is_relative_to(home()) else str(path)


def shipped(name: str) -> Path:
    """A folder that ships with the code: in a checkout the top level, in a wheel backend/share."""
    root = Path(__file__).resolve().parents[2]
    packed = root / "backend" / "share" / name
    return packed if packed.is_dir() else root / name


def prepare() -> None:
    """Make data/ (with the demo sets) and saves/ in the working folder where they are missing."""
    saves().mkdir(parents=True, exist_ok=True)
    target = data()
    if not target.exists():
        part = target.with_name(f".data-{os.getpid()}")
        shutil.copytree(shipped("data"), part)
        try:
            part.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(part)
