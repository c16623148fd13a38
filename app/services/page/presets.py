"""Save and load arguments (saves/arguments/<name>.yaml); the values of Try it."""

from pathlib import Path

from app.services.data import upload_folder
from app.services.models.catalog import STARTER
from backend.contract.arguments import arguments
from backend.contract.arguments.field import Values
from backend.contract.folders.home import saves
from backend.contract.runs.run_folder import check_name
from backend.contract.system import boundary
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import Problem, UsageError, errors

# A run of about a minute on two cores that teaches a name; measured, see README "First fine-tune".
TRY_IT: Values = {
    "model_name_or_path": f"saves/models/{STARTER}",
    "finetuning_type": "lora",
    "dataset": "identity",
    "learning_rate": 1e-3,
    "num_train_epochs": 4.0,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "lr_scheduler_type": "linear",
    "cutoff_len": 512,
    "logging_steps": 1,
    "disable_gradient_checkpointing": True,
}


def folder() -> Path:
    """The folder of saved arguments."""
    return saves() / "arguments"


def names() -> list[str]:
    """The names of the saved sets of arguments."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def save(name: str, values: Values, task: str) -> Path:
    """Write a set of arguments under a name. Raises UsageError for a bad name."""
    problem = check_name(name)
    if problem:
        raise UsageError(problem)
    folder().mkdir(parents=True, exist_ok=True)
    path = folder() / f"{name}.yaml"
    boundary.require(path)
    write_atomic(path, arguments.to_yaml(values, task))
    return path


def load_saved(name: str, task: str) -> tuple[Values, list[Problem]]:
    """As `load`, for a set of arguments that was saved under a name."""
    problem = check_name(name)
    if problem:
        raise UsageError(problem)
    return load(folder() / f"{name}.yaml", task)


def load_upload(path: str, task: str) -> tuple[Values, list[Problem]]:
    """As `load`, for a file that the browser has uploaded. Raises DataError for any other."""
    upload_folder.require(Path(path))
    return load(path, task)


def load(path: str | Path, task: str) -> tuple[Values, list[Problem]]:
    """Checked values from a file, and notices about them.

    Raises UsageError with every problem, so that a file is applied whole or not at all.
    """
    values, problems = arguments.from_yaml(str(path), task)
    if errors(problems):
        raise UsageError(*errors(problems))
    return values, problems
