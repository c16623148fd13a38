"""What was downloaded: models and data sets in the hub's cache, sizes and last use; removal."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from backend.contract.arguments.typed import Arguments
from backend.contract.launching import launch
from backend.contract.models.model_folder import adapter_base, local
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import names
from backend.contract.runs.run_names import NAMING
from backend.contract.texts.problems import DataError, ModelError, Problem
from backend.hub import modelscope
from backend.hub.fetching import Kind


@dataclass(frozen=True)
class Download:
    """A model or data set in the cache of a hub: bytes on the disk, time of its last use (seconds
    since 1970), and whether all of it has arrived."""

    name: str
    size: int
    used: float
    path: Path
    whole: bool = True
    hub: str = "huggingface"


def downloads(kind: Kind = "model") -> list[Download]:
    """What was downloaded, the one that was used last first. Half a download counts, too, of which
    scan_cache_dir of huggingface_hub 2.4 knows nothing."""
    start = f"{kind}s--"
    folders = Path(constants.HF_HUB_CACHE).glob(f"{start}*")
    entries = [_describe(each, "blobs", "huggingface", start) for each in folders]
    others = (modelscope.cache() / f"{kind}s").glob("*--*")
    entries += [_describe(each, "snapshots", "modelscope") for each in others]
    return sorted(filter(None, entries), key=lambda each: (-each.used, each.name))


def remove(name: str, kind: Kind = "model") -> Download:
    """Remove a download from the disk; returns what it was. Of one from both hubs that which was
    used last goes.

    Raises ModelError where there is none of this name, or a run that goes on uses it.
    """
    known = {each.name: each for each in reversed(downloads(kind))}
    if name not in known:
        params = {"name": name, "known": ", ".join(known) or "-"}
        raise ModelError(Problem(code="download_missing", params=params))
    find_names = _name_models if kind == "model" else _name_sets
    for view in launch.list_going():
        if name in find_names(view.arguments):
            params = {"name": name, "run": view.name}
            raise ModelError(Problem(code="download_in_use", params=params))
    shutil.rmtree(known[name].path)
    return known[name]


def _describe(folder: Path, inside: str, hub: str, start: str = "") -> Download | None:
    """A folder of a cache, whose files lie inside a folder of this name; None where it has none."""
    if not (folder / inside).is_dir():
        return None
    files = [path for path in (folder / inside).rglob("*") if path.is_file()]
    stats = [file.stat() for file in files]
    halves = any(file.suffix == ".incomplete" for file in files)
    return Download(
        name=folder.name.removeprefix(start).replace("--", "/"),
        size=sum(stat.st_size for stat in stats),
        used=max((max(stat.st_atime, stat.st_mtime) for stat in stats), default=0.0),
        path=folder,
        whole=(folder / "snapshots").is_dir() and not halves,
        hub=hub,
    )


def _name_models(arguments: Arguments) -> set[str]:
    """The models that a run loads: those that it names, and those that its adapters belong to."""
    named = [each for field in NAMING for each in names(arguments[field])]
    return {*named, *(adapter_base(local(each)) for each in named)}


def _name_sets(arguments: Arguments) -> set[str]:
    """The data sets of a hub that a run reads."""
    sets: set[str] = set()
    for field in dataset_info.SETS:
        for name in names(arguments[field]):
            try:
                sets.add(dataset_info.find(name, arguments.dataset_dir).hub_id)
            except DataError:  # its entry is gone
                sets.add(name)
    return sets
