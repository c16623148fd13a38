"""What page and command check before a launch, beyond the values themselves: folders and packages.

Standard library only and quick: no file is read whole, nothing is imported.
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from backend.contract import dataset_info, template_names
from backend.contract.dataset_info import names
from backend.contract.field import Value
from backend.contract.model_folder import adapter_problems, local, model_problems
from backend.contract.names import check_output_dir
from backend.contract.problems import Problem

# Tracking services by the name that report_to takes -> the package that must be there.
TRACKERS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "trackio": "trackio",
    "comet_ml": "comet_ml",
    "neptune": "neptune",
    "clearml": "clearml",
    "codecarbon": "codecarbon",
    "dagshub": "dagshub",
    "dvclive": "dvclive",
    "flyte": "flytekit",
    "azure_ml": "azureml",
}

# (argument, values that need the package, module, what to install)
PACKAGES: tuple[tuple[str, tuple[Value, ...], str, str], ...] = (
    ("quantization_bit", ("4", "8"), "bitsandbytes", "bitsandbytes"),
    ("use_galore", (True,), "galore_torch", "galore-torch"),
    ("use_apollo", (True,), "apollo_torch", "apollo-torch"),
    ("enable_liger_kernel", (True,), "liger_kernel", "liger-kernel"),
    ("flash_attn", ("fa2",), "flash_attn", "flash-attn"),
    ("flash_attn", ("fa3",), "flash_attn_interface", "flash-attn-3"),
    ("hub_name", ("modelscope",), "modelscope", "modelscope"),
)


def check_paths(values: Mapping[str, Value], task: str) -> list[Problem]:
    """Everything wrong with model, adapters, data sets, packages and output folder of a task."""
    return [
        *check_model(values),
        *dataset_info.check(values, task),
        *check_packages(values),
        *template_names.check(values),
        *(check_export(values) if task == "export" else []),
        *_check_resume(values),
        *_check_output(values),
    ]


def check_model(values: Mapping[str, Value]) -> list[Problem]:
    """Problems of the model and adapter folders."""
    if not values.get("model_name_or_path") or values.get("hub_name") == "modelscope":
        return []
    problems = model_problems(str(values["model_name_or_path"]))
    for name in names(values.get("adapter_name_or_path")):
        problems += adapter_problems(name)
    return problems


def check_packages(values: Mapping[str, Value]) -> list[Problem]:
    """Optional packages that these values need and that are not installed."""
    problems = [
        Problem(code="package_missing", field=field, params={"package": package})
        for field, needing, module, package in PACKAGES
        if values.get(field) in needing and not _installed(module)
    ]
    for tracker in names(values.get("report_to")):
        package = TRACKERS.get(tracker, "")
        if tracker in {"none", "all"}:
            continue
        if not package:
            params = {"value": tracker[:80], "choices": ", ".join(["none", *TRACKERS])}
            problems.append(Problem(code="not_choice", field="report_to", params=params))
        elif not _installed(package):
            problems.append(
                Problem(code="package_missing", field="report_to", params={"package": package})
            )
    return problems


def check_export(values: Mapping[str, Value]) -> list[Problem]:
    """A target folder that holds something, or a kind of file that is not written."""
    problems = []
    if values.get("export_legacy_format"):
        problems.append(Problem(code="export_legacy_format", field="export_legacy_format"))
    if not values.get("export_dir"):
        return problems
    target = local(str(values["export_dir"]))
    params = {"path": str(target)}
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            problems.append(Problem(code="export_dir_is_file", field="export_dir", params=params))
        elif target.is_dir() and any(target.iterdir()):
            problems.append(Problem(code="export_dir_not_empty", field="export_dir", params=params))
    except OSError as error:  # not allowed to look
        params = {"path": str(target), "reason": error.strerror or str(error)}
        problems.append(Problem(code="export_not_written", field="export_dir", params=params))
    return problems


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _check_resume(values: Mapping[str, Value]) -> list[Problem]:
    """A checkpoint to resume from that is not there ("true" and "auto" mean the newest one)."""
    given = str(values.get("resume_from_checkpoint") or "")
    if not given or given.lower() in {"true", "auto", "false"} or local(given).is_dir():
        return []
    params = {"path": str(local(given))}
    return [Problem(code="checkpoint_missing", field="resume_from_checkpoint", params=params)]


def _check_output(values: Mapping[str, Value]) -> list[Problem]:
    """An output folder that is a file, or whose place cannot be written to."""
    given = str(values.get("output_dir") or "")
    if not given:
        return []
    wrong = check_output_dir(given)
    if wrong:
        return [wrong]
    folder = local(given)
    if folder.exists() and not folder.is_dir():
        return [Problem(code="output_is_file", field="output_dir", params={"path": str(folder)})]
    place = _existing(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        params = {"path": str(place)}
        return [Problem(code="output_not_writable", field="output_dir", params=params)]
    return []


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
