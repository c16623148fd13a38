"""The models and adapters that can be chosen: local folders, finished runs, hub models."""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import backend
from app.services.runs import runs
from backend.contract.folders.home import home, output, relative, saves
from backend.contract.runs.model_folders import (
    LOCAL_FOLDERS,
    MAKERS,
    Model,
    downloaded_models,
    is_adapter,
    is_model,
    is_usable,
    local_models,
)
from backend.contract.runs.run_folder import State

WEIGHTS = "*.safetensors"
STARTER = "SmolLM2-135M-Instruct"


def find_only_model(hub: str) -> str:
    """Find the one model with weights on this machine, in a local folder or from this hub; "" where
    there is none, or a choice."""
    here = [model.path for model in local_models() if any((home() / model.path).glob(WEIGHTS))]
    known = [*here, *downloaded_models(hub)]
    return known[0] if len(known) == 1 else ""


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
