"""Folders with weights: models in saves/models and models, downloads, and the results of runs."""

import os
from dataclasses import dataclass
from pathlib import Path

from backend.contract.folders.home import home, output
from backend.contract.runs.run_view import RunView

LOCAL_FOLDERS = ("saves/models", "models")
MAKERS = {"export", "vocab"}  # tasks whose result is not in the folder of the run


@dataclass(frozen=True)
class Model:
    """A model by name, with its path or its ids on the hubs."""

    name: str
    path: str
    modelscope: str = ""

    def path_on(self, hub: str) -> str:
        """The folder of the model on this machine, or its id on the hub of this name."""
        return self.modelscope if hub == "modelscope" and self.modelscope else self.path


def local_models() -> list[Model]:
    """The folders with a config.json in saves/models and models, by name, with relative paths."""
    models = []
    for parent in LOCAL_FOLDERS:
        for config in sorted((home() / parent).glob("*/config.json")):
            path = f"{parent}/{config.parent.name}"
            models.append(Model(config.parent.name, path))
    return models


def downloaded_models(hub: str) -> list[str]:
    """The ids of the models of a hub that lie whole in its cache, by name."""
    at_home = Path.home() / ".cache"
    if hub == "modelscope":
        place = Path(os.environ.get("MODELSCOPE_CACHE") or at_home / "modelscope")
        start, folders = "", (place / "models").glob("*--*/snapshots")
    else:
        place = Path(os.environ.get("HF_HOME") or at_home / "huggingface") / "hub"
        place = Path(os.environ.get("HF_HUB_CACHE") or place)
        start, folders = "models--", place.glob("models--*/snapshots")
    whole = [each.parent.name for each in folders if not _is_half(each.parent)]
    return sorted(name.removeprefix(start).replace("--", "/") for name in whole)


def _is_half(folder: Path) -> bool:
    """Whether a download into a folder of a cache has not ended."""
    return next(folder.rglob("*.incomplete"), None) is not None


def is_adapter(folder: Path) -> bool:
    """Whether a finished run's folder holds an adapter (and not a whole model)."""
    return (folder / "adapter_config.json").is_file()


def is_model(folder: Path) -> bool:
    """Whether a folder holds a whole model."""
    return (folder / "config.json").is_file() and not is_adapter(folder)


def is_usable(folder: Path) -> bool:
    """Whether a folder holds an adapter or a whole model."""
    return is_adapter(folder) or is_model(folder)


def result_folder(view: RunView) -> Path:
    """The folder of the model or adapter that a run has made: its own, or the named one."""
    named = view.arguments.export_dir if view.task in MAKERS else None
    return output(named) if named else view.path
