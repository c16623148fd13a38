"""The checks of page and command before a launch, beyond the values: folders and packages.

They are fast: no large file is read, nothing is imported.
"""

import os
import shutil
from pathlib import Path

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.serving import GPTQ_BITS, K_QUANTS, QUANTIZER, ROUNDED
from backend.contract.arguments.fields.stages import TRL
from backend.contract.arguments.fields.training import METRICS, ZERO
from backend.contract.arguments.names import check_output_dir
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import data, describe_places, output
from backend.contract.models import template_names
from backend.contract.models.devices import gpus
from backend.contract.models.model_folder import adapter_problems, local, model_problems
from backend.contract.preflight import requirements, rewards
from backend.contract.preflight.requirements import is_installed
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import names
from backend.contract.runs import resuming, run_names
from backend.contract.system import boundary
from backend.contract.system.files import read_json, read_mapping
from backend.contract.texts.problems import Problem, UsageError

# Tracking services as report_to names them -> the package that each needs.
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

# Arguments whose relative paths are not resolved by home.find.
PLACES = {"output_dir": output, "export_dir": output, "dataset_dir": data}

# (argument, values that need the package, module, what to install as pip takes it)
PACKAGES: tuple[tuple[ArgumentName, tuple[Value, ...], str, str], ...] = (
    ("use_galore", (True,), "galore_torch", "galore-torch"),
    ("use_apollo", (True,), "apollo_torch", "apollo-torch"),
    ("use_adam_mini", (True,), "adam_mini", "adam-mini"),
    ("enable_liger_kernel", (True,), "liger_kernel", "liger-kernel"),
    ("use_unsloth", (True,), "unsloth", "unsloth"),
    ("flash_attn", ("fa2",), "flash_attn", "flash-attn"),
    ("flash_attn", ("fa3",), "flash_attn_interface", "flash-attn-3"),
    ("hub_name", ("modelscope",), "modelscope", "modelscope"),
    ("stage", TRL, "trl", "trl>=1.16,<2"),  # trl's modules move between releases
    ("infer_backend", ("vllm",), "vllm", "vllm"),
    ("infer_backend", ("sglang",), "sglang", "sglang"),
    ("use_swanlab", (True,), "swanlab", "swanlab"),
    ("export_quantization_bit", GPTQ_BITS, "gptqmodel", "gptqmodel"),
    ("export_quantization_bit", ROUNDED, "compressed_tensors", "compressed-tensors"),
)


def check_paths(values: Values, task: str) -> list[Problem]:
    """The problems of the model, adapters, data sets, packages and output folder of a task.

    Where a visitor of the page names a path outside the boundary, nothing else is checked.
    """
    outside = check_places(values)
    if outside:
        return outside
    arguments = resolve(values)
    name_problems = run_names.check(arguments)
    settled = {problem.field for problem in name_problems}
    problems = [
        *requirements.check_worker(),
        *check_model(arguments),
        *dataset_info.check(arguments, task),
        *check_packages(arguments),
        *check_token(arguments),
        *check_deepspeed(arguments),
        *check_engine(arguments),
        *template_names.check(arguments.template),
        *(_check_training(arguments) if task == "train" else []),
        *(check_export(arguments) if task in {"export", "vocab"} else []),
        *_check_resume(values),
        *_check_output(arguments),
    ]
    return name_problems + [problem for problem in problems if problem.field not in settled]


def check_places(values: Values) -> list[Problem]:
    """The problems of paths outside the boundary. Data sets are checked in dataset_info."""
    problems: list[Problem | None] = []
    for row in FIELDS.values():
        if row.kind != "path" and row.name not in run_names.NAMING:
            continue
        judge = boundary.model_refusal if row.name in run_names.NAMING else boundary.refusal
        parts = names(values.get(row.name)) if row.kind == "list" else [values.get(row.name)]
        place = PLACES.get(row.name, local)
        problems += [judge(place(str(part)), row.name) for part in parts if part]
    return [problem for problem in problems if problem]


def _check_training(values: Arguments) -> list[Problem]:
    checks = (
        rewards.check_functions,
        rewards.check_reward_model,
        rewards.check_teacher,
        check_metric,
        check_new_tokens,
    )
    return [problem for check in checks for problem in check(values)]


def check_new_tokens(values: Arguments) -> list[Problem]:
    """The problem of a new_special_tokens_config file that is missing or cannot be read."""
    field = "new_special_tokens_config"
    path = values.new_special_tokens_config or ""
    content, problems = read_mapping(path) if path else ({}, [])
    if not path or (content and not problems):
        return []
    params = {"path": describe_places(path), "reason": problems[0].text() if problems else "-"}
    return [Problem(code="new_tokens_file", field=field, params=params)]


def check_metric(values: Arguments) -> list[Problem]:
    """The problem of a metric_for_best_model that no evaluation of the stage measures."""
    field = "metric_for_best_model"
    name = (values.metric_for_best_model or "").removeprefix("eval_")
    known = METRICS[values.stage]
    if name and name not in known:
        params = {"value": name[:80], "choices": ", ".join(known)}
        return [Problem(code="not_choice", field=field, params=params)]
    if name == "accuracy" and not values.compute_accuracy:
        return [Problem(code="accuracy_not_measured", field=field)]
    return []


def check_model(values: Arguments) -> list[Problem]:
    """The problems of the model and adapter folders."""
    if not values.model_name_or_path or values.hub_name == "modelscope":
        return []
    name = values.model_name_or_path
    problems = model_problems(name) or check_quantized(local(name), values)
    for name in names(values.adapter_name_or_path):
        problems += adapter_problems(name)
    if values.ref_model:
        problems += model_problems(values.ref_model, "ref_model")
    for name in names(values.ref_model_adapters):
        problems += adapter_problems(name, "ref_model_adapters")
    return problems


def require_rows(values: Arguments) -> None:
    """Raise UsageError where the data set or the model to show rows with is not set."""
    if not values.dataset:
        raise UsageError(Problem(code="dataset_required", field="dataset"))
    if not values.model_name_or_path:
        raise UsageError(Problem(code="model_required", field="model_name_or_path"))


def check_quantized(folder: Path, values: Arguments) -> list[Problem]:
    """The problems that prevent loading a folder with quantized weights. Hub ids pass."""
    return requirements.folder_problems(folder, values)


def check_packages(values: Arguments) -> list[Problem]:
    """A problem for each optional package that these values need and that is not installed."""
    problems = [
        problem
        for field, needing, module, requirement in PACKAGES
        if values[field] in needing
        for problem in _check_package(field, module, requirement)
    ]
    problems += requirements.check(values)
    watched_here = values.use_swanlab and values.swanlab_mode == "local"
    if watched_here and not is_installed("swanboard"):  # swanlab 0.10 logs an error and goes on
        params = {"package": "'swanlab[dashboard]'"}
        problems.append(Problem(code="package_missing", field="swanlab_mode", params=params))
    for tracker in names(values.report_to):
        package = TRACKERS.get(tracker, "")
        if tracker in {"none", "all"}:
            continue
        if not package:
            params = {"value": tracker[:80], "choices": ", ".join(["none", *TRACKERS])}
            problems.append(Problem(code="not_choice", field="report_to", params=params))
        elif not is_installed(package):
            problems.append(
                Problem(code="package_missing", field="report_to", params={"package": package})
            )
    return problems


def _check_package(field: str, module: str, requirement: str) -> list[Problem]:
    """The problem of a package that is not installed, or not in a required release."""
    # A command that needs no package starts without these: a tenth of what it imports.
    from importlib import metadata

    from packaging.requirements import Requirement

    required = Requirement(requirement)
    wanted = f"'{requirement}'" if required.specifier else requirement
    if not is_installed(module):
        return [Problem(code="package_missing", field=field, params={"package": wanted})]
    if not required.specifier:
        return []
    release = metadata.version(required.name)
    if required.specifier.contains(release, prereleases=True):
        return []
    params = {"package": required.name, "release": release, "wanted": wanted}
    return [Problem(code="package_release", field=field, params=params)]


def check_engine(values: Arguments) -> list[Problem]:
    """The problem of vLLM or SGLang without a GPU: their builds for CPUs are not supported."""
    engine = values.infer_backend
    if engine not in ("vllm", "sglang") or gpus():
        return []
    return [Problem(code="engine_needs_gpu", field="infer_backend", params={"engine": engine})]


def check_deepspeed(values: Arguments) -> list[Problem]:
    """The problems of DeepSpeed: not installed, or its config is no JSON file."""
    config_name = values.deepspeed or ""
    if not config_name:
        return []
    problems = []
    if not is_installed("deepspeed"):
        params = {"package": "deepspeed"}
        problems.append(Problem(code="package_missing", field="deepspeed", params=params))
    if config_name not in ZERO:
        config = read_json(local(config_name))
        if not config:
            params = {"path": describe_places(config_name), "choices": ", ".join(ZERO)}
            problems.append(Problem(code="deepspeed_config", field="deepspeed", params=params))
    return problems


def check_token(values: Arguments) -> list[Problem]:
    """The problem of a push to the hub without a token in values, environment or login."""
    wanted = values.push_to_hub or values.export_hub_model_id
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    saved = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    token = values.hf_hub_token or os.environ.get("HF_TOKEN")
    if not wanted or token or saved.is_file():
        return []
    return [Problem(code="hub_token_missing", field="hf_hub_token")]


def check_export(values: Arguments) -> list[Problem]:
    """The problems of an export: a target that is not empty, or a format that is not supported, or
    needs a program that is not installed."""
    problems = []
    if values.export_legacy_format:
        problems.append(Problem(code="export_legacy_format", field="export_legacy_format"))
    is_k_quant = values.export_format == "gguf" and values.gguf_type in K_QUANTS
    if is_k_quant and shutil.which(QUANTIZER) is None:
        params = {"kind": values.gguf_type, "name": QUANTIZER}
        problems.append(Problem(code="gguf_no_quantizer", field="gguf_type", params=params))
    texts = values.export_quantization_dataset
    if values.export_quantization_bit in GPTQ_BITS and texts and not local(texts).exists():
        params = {"path": describe_places(texts)}
        field = "export_quantization_dataset"
        problems.append(Problem(code="export_calibration_missing", field=field, params=params))
    if not values.export_dir:
        return problems
    target = output(values.export_dir)
    params = {"path": str(target)}
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            problems.append(Problem(code="export_dir_is_file", field="export_dir", params=params))
        elif target.is_dir() and any(target.iterdir()):
            problems.append(Problem(code="export_dir_not_empty", field="export_dir", params=params))
    except OSError as error:  # permission denied
        params = {"path": str(target), "reason": error.strerror or str(error)}
        problems.append(Problem(code="export_not_written", field="export_dir", params=params))
    return problems


def _check_resume(values: Values) -> list[Problem]:
    """The problems of a checkpoint that is missing or cannot go on with these arguments."""
    resumption = resuming.resumption(values)
    return resumption.problems() if resumption else resuming.checkpoint_of(resolve(values))[1]


def _check_output(values: Arguments) -> list[Problem]:
    """The problem of an output folder that is a file or cannot be written."""
    path = values.output_dir or ""
    if not path:
        return []
    problem = check_output_dir(path)
    if problem:
        return [problem]
    folder = output(path)
    if folder.exists() and not folder.is_dir():
        return [Problem(code="output_is_file", field="output_dir", params={"path": str(folder)})]
    place = _nearest_existing(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        params = {"path": str(place)}
        return [Problem(code="output_not_writable", field="output_dir", params=params)]
    return []


def _nearest_existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
