"""Models that can be chosen: local folders first, then the catalog of hub models."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import backend
from backend.contract.files import read_json
from backend.contract.home import home, saves

LOCAL_FOLDERS = ("saves/models", "models")
STARTER = "SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Model:
    """A model by name, with its path or its ids on the hubs."""

    name: str
    path: str
    modelscope: str = ""
    local: bool = False


def local_models() -> list[Model]:
    """Folders with a config.json under saves/models and models, by name; paths relative to home."""
    found = []
    for parent in LOCAL_FOLDERS:
        for config in sorted((home() / parent).glob("*/config.json")):
            path = f"{parent}/{config.parent.name}"
            found.append(Model(config.parent.name, path, local=True))
    return found


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


def models() -> list[Model]:
    """All that the model bar offers; a local folder hides the hub model of the same name."""
    local = local_models()
    names = {model.name for model in local}
    return local + [model for model in catalog() if model.name not in names]


def path_of(name: str, hub: str) -> str:
    """The path or hub id of a model by name; a name that is not known stands for itself."""
    for model in models():
        if model.name == name:
            use_modelscope = hub == "modelscope" and model.modelscope and not model.local
            return model.modelscope if use_modelscope else model.path
    return name


def starter_present() -> bool:
    """Whether the starter model lies in saves/models."""
    return (saves() / "models" / STARTER / "model.safetensors").is_file()


def is_adapter(folder: Path) -> bool:
    """Whether a finished run's folder holds an adapter (and not a whole model)."""
    return (folder / "adapter_config.json").is_file()


def base_of(folder: Path) -> str:
    """The base model that an adapter folder names, or ""."""
    return str(read_json(folder / "adapter_config.json").get("base_model_name_or_path", ""))
