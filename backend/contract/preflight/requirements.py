"""What has to be installed: the worker, the page, and what some arguments need; also a GPU.

Standard library only, and fast: nothing is imported.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields.training import GALORE_8BIT, OPTIMIZERS
from backend.contract.arguments.typed import Arguments
from backend.contract.models import devices
from backend.contract.models.model_folder import config
from backend.contract.texts.problems import Problem, UsageError

# The page and the worker can be installed alone.
PAGE = ("gradio",)
MCP = ("mcp",)
WORKER = ("torch", "transformers", "peft", "datasets", "accelerate", "safetensors")
# (argument, values) that use kernels for GPUs only
GPU_ONLY: tuple[tuple[ArgumentName, tuple[Value, ...]], ...] = (
    ("enable_liger_kernel", (True,)),
    ("use_unsloth", (True,)),
    ("flash_attn", ("fa2", "fa3")),
    ("optim", ("adalomo",)),
)
BITS: tuple[ArgumentName, ...] = (
    "quantization_bit",
    "ref_model_quantization_bit",
    "reward_model_quantization_bit",
    "teacher_model_quantization_bit",
)
QUANTIZERS = {"bnb": ("bitsandbytes", "bitsandbytes"), "torchao": ("torchao", "torchao")}


@dataclass(frozen=True)
class Quantized:
    """What a quantized model folder requires: (module, package to install), and perhaps a GPU."""

    packages: tuple[tuple[str, str], ...]
    gpu: bool


# quant_method of config.json; transformers cannot load others
FOLDERS = {
    "gptq": Quantized((("gptqmodel", "gptqmodel"), ("optimum", "optimum")), gpu=False),
    "awq": Quantized((("gptqmodel", "gptqmodel"),), gpu=True),
    "bitsandbytes": Quantized((("bitsandbytes", "bitsandbytes"),), gpu=False),
    "torchao": Quantized((("torchao", "torchao"),), gpu=False),
    "compressed-tensors": Quantized((("compressed_tensors", "compressed-tensors"),), gpu=False),
    "fp8": Quantized((), gpu=True),
}


def check(values: Arguments) -> list[Problem]:
    """A problem for each package or GPU that is needed and missing."""
    problems = []
    package = OPTIMIZERS.get(values.optim)
    if package and not is_installed(package[0]):
        problems.append(_missing("optim", package[1]))
    module, name = QUANTIZERS[values.quantization_method]
    problems += [
        _missing(field, name) for field in BITS if values[field] and not is_installed(module)
    ]
    if devices.gpus() == 0:
        problems += [
            Problem(code="gpu_needed", field=field)
            for field, needing in GPU_ONLY
            if values[field] in needing
        ]
        if values.use_galore and values.optim in GALORE_8BIT:
            problems.append(Problem(code="gpu_needed", field="optim"))
    return problems


def quantization_of(folder: Path) -> str:
    """The method by which the weights of a model folder are already quantized, or ""."""
    settings = config(folder).get("quantization_config")
    if not isinstance(settings, dict):
        return ""
    return str(settings.get("quant_method") or "unknown")


def folder_problems(folder: Path, values: Arguments) -> list[Problem]:
    """The problems that prevent loading a model folder with quantized weights."""
    field = "model_name_or_path"
    method = quantization_of(folder)
    if not method:
        return []
    params = {"path": str(folder), "method": method}
    if method not in FOLDERS:
        return [Problem(code="quantized_unknown", field=field, params=params)]
    if values.quantization_bit:
        return [Problem(code="quantized_twice", field="quantization_bit", params=params)]
    needed = FOLDERS[method]
    problems = [
        Problem(code="quantized_package", field=field, params={**params, "package": package})
        for module, package in needed.packages
        if not is_installed(module)
    ]
    if needed.gpu and devices.gpus() == 0:
        problems.append(Problem(code="quantized_gpu", field=field, params=params))
    return problems


def _missing(field: str, package: str) -> Problem:
    return Problem(code="package_missing", field=field, params={"package": package})


def is_installed(module: str) -> bool:
    """Whether a package can be imported. It is looked for, not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def check_worker() -> list[Problem]:
    """The problem of a worker that is not installed (the extra `worker`)."""
    return _check("worker_missing", WORKER)


def require_worker() -> None:
    """Raise UsageError where the worker is not installed."""
    if problems := check_worker():
        raise UsageError(*problems)


def require_page() -> None:
    """Raise UsageError where the page (the extra `page`) is not installed."""
    if problems := _check("page_missing", PAGE):
        raise UsageError(*problems)


def require_mcp() -> None:
    """Raise UsageError where the package mcp (the extra `mcp`) is not installed."""
    if problems := _check("mcp_missing", MCP):
        raise UsageError(*problems)


def _check(code: str, modules: tuple[str, ...]) -> list[Problem]:
    missing = [module for module in modules if not is_installed(module)]
    return [Problem(code=code, params={"packages": ", ".join(missing)})] if missing else []
