"""The models and adapters that can be chosen: local folders, finished runs, hub models."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import backend
from app.services.runs import runs
from backend.contract.folders.home import home, output, relative, saves
from backend.contract.runs.run_folder import RunView, State

LOCAL_FOLDERS = ("saves/models", "models")
WEIGHTS = "*.safetensors"
STARTER = "SmolLM2-135M-Instruct"
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


def find_only_model(hub: str) -> str:
    """Find the one model with weights on this machine, in a local folder or from this hub; "" where
    there is none, or a choice."""
    here = [model.path for model in local_models() if any((home() / model.path).glob(WEIGHTS))]
    known = [*here, *downloaded_models(hub)]
    return known[0] if len(known) == 1 else ""


def _is_half(folder: Path) -> bool:
    """Whether a download into a folder of a cache has not ended."""
    return next(folder.rglob("*.incomplete"), None) is not None


@cache
def catalog() -> tuple[Model, ...]:
    """The text models of the shipped catalog."""
    file = Path(str(backend.__file__)).with_name("model") / "catalog.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Model(row["name"], row["huggingface_id"], row["modelscope_id"])
            for row in csv.DictReader(lines)
            if not row["multimodal"]
        )


def starter_present() -> bool:
    """Whether the starter model lies in saves/models."""
    return (saves() / "models" / STARTER / "model.safetensors").is_file()


def is_adapter(folder: Path) -> bool:
    """Whether a finished run's folder holds an adapter (and not a whole model)."""
    return (folder / "adapter_config.json").is_file()


Offer = tuple[str, str]  # the label in a list, and the path it stands for


def trained_models() -> list[Offer]:
    """Finished runs of full or freeze with their whole checkpoints, then exported models."""
    trained = [_offer(*each) for each in _results(reward=False) if is_model(each[1])]
    return trained + [(_label(path), relative(path)) for path in _export_folders()]


def trained_adapters() -> list[Offer]:
    """Finished runs that hold an adapter, and their whole checkpoints."""
    return [_offer(*each) for each in _results(reward=False) if is_adapter(each[1])]


def reward_models() -> list[Offer]:
    """Finished runs of stage rm, adapters and whole models, and their whole checkpoints."""
    return [_offer(*each) for each in _results(reward=True) if is_usable(each[1])]


def newest_result() -> Offer | None:
    """The newest finished run whose result can be talked to, or its newest checkpoint."""
    return next((_offer(*each) for each in _results(reward=False) if is_usable(each[1])), None)


def is_model(folder: Path) -> bool:
    """Whether a folder holds a whole model."""
    return (folder / "config.json").is_file() and not is_adapter(folder)


def is_usable(folder: Path) -> bool:
    """Whether a folder holds an adapter or a whole model."""
    return is_adapter(folder) or is_model(folder)


def _results(*, reward: bool) -> Iterator[tuple[str, Path]]:
    """(label, folder) of training runs with a result, the newest first, and of their checkpoints.

    With `reward` those of stage rm, which score answers; else all others, which write answers.
    """
    for run in runs.list_runs():
        if run.task != "train" or (run.stage == "rm") != reward:
            continue
        label = _label(run.path)
        if run.state in {State.SUCCEEDED, State.STOPPED}:
            yield label, run.path
        for point in runs.checkpoints(run.path):
            loss = "" if point.eval_loss is None else f" · eval {point.eval_loss:.4f}"
            yield f"{label} · step {point.step}{loss}", point.path


def result_folder(view: RunView) -> Path:
    """The folder of the model or adapter that a run has made: its own, or the named one."""
    named = view.arguments.export_dir if view.task in MAKERS else None
    return output(named) if named else view.path


def _export_folders() -> list[Path]:
    """The folders of finished exports that are not among the local models."""
    local_folders = {home() / parent for parent in LOCAL_FOLDERS}
    done = [
        output(run.export_dir)
        for run in runs.list_runs()
        if run.task in MAKERS and run.state is State.SUCCEEDED
    ]
    return [
        path for path in dict.fromkeys(done) if path.parent not in local_folders and is_model(path)
    ]


def _offer(label: str, path: Path) -> Offer:
    return label, relative(path)


def _label(path: Path) -> str:
    return "/".join(path.parts[-3:])
