"""The GPUs of the machine: counted without a library, and measured with NVIDIA's.

The library of NVIDIA's driver is imported where it is used. It may hang or fail, so each call of it
has a time limit. `group` counts the processes of a training.
"""

import importlib
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from backend.contract.arguments.field import TRUE
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem

# What keeps PyTorch from seeing a GPU (CUDA and ROCm), and backend.model.device from choosing MPS.
CPU_ALONE = {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
NVIDIA = Path("/proc/driver/nvidia/gpus")
AMD, RENDER = Path("/dev/kfd"), Path("/dev/dri")
WINDOWS = Path("/dev/dxg")  # Linux inside Windows (WSL): one GPU or more, which are not listed
GPU_TIMEOUT_S = 3.0  # after this time a driver counts as hanging
GPU_RETRY_S = 60.0  # the wait before a failed driver is asked again


def gpus() -> int:
    """The number of GPUs: those of CUDA_VISIBLE_DEVICES, else those of the NVIDIA or AMD driver."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return len([name for name in shown.split(",") if name.strip() not in {"", "-1"}])
    if AMD.exists():
        return len(list(RENDER.glob("renderD*")))
    return len(list(NVIDIA.glob("*"))) or int(WINDOWS.exists())


def group(values: Arguments) -> int:
    """The number of processes in the group of a training; 0 for one process without a group.

    A group is requested by FORCE_TORCHRUN, NPROC_PER_NODE or DeepSpeed. Without a number each GPU
    gets a process.
    """
    number = os.environ.get("NPROC_PER_NODE", "").strip()
    forced = os.environ.get("FORCE_TORCHRUN", "").strip().lower() in TRUE
    if number.isdigit() and int(number) > 1:
        return int(number)
    if forced or values.deepspeed:
        return 1 if number.isdigit() or values.use_cpu else max(1, gpus())
    return 0


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. Memory in bytes; `load` in percent, `temperature` in Celsius, `power` in watts."""

    index: int
    name: str
    used: int
    total: int
    load: float | None = None
    temperature: float | None = None
    power: float | None = None


class GpuWatch:
    """A time limit and a circuit breaker around the GPU driver."""

    def __init__(self, read: Callable[[], tuple[Gpu, ...]]) -> None:
        self._read = read
        self._worker: threading.Thread | None = None
        self._result: tuple[tuple[Gpu, ...], Problem | None] = ((), None)
        self._quiet_until = 0.0

    def read(self) -> tuple[tuple[Gpu, ...], Problem | None]:
        """The GPUs, and a problem where there are none. Never raises or exceeds the time limit."""
        if self._worker is not None and self._worker.is_alive():
            return (), _unavailable("hangs")
        if time.monotonic() < self._quiet_until:
            return self._result
        self._worker = threading.Thread(target=self._ask, name="nvml", daemon=True)
        self._worker.start()
        self._worker.join(GPU_TIMEOUT_S)
        if self._worker.is_alive():
            return (), _unavailable("hangs")
        return self._result

    def _ask(self) -> None:
        try:
            self._result = (self._read(), None)
        except Exception as error:  # noqa: BLE001  (edge of a thread: drivers fail in any way)
            self._result = ((), _why(error))
            self._quiet_until = time.monotonic() + GPU_RETRY_S


def _why(error: Exception) -> Problem:
    """A notice: no library, driver or device is normal; other failures name their reason."""
    name = type(error).__name__
    normal = ("ImportError", "ModuleNotFoundError", "LibraryNotFound", "DriverNotLoaded", "NoGpu")
    if name.removeprefix("NVMLError_") in normal:
        return Problem(code="no_gpu", notice=True)
    return _unavailable(name.removeprefix("NVMLError_"))


def _unavailable(reason: str) -> Problem:
    return Problem(code="gpu_unavailable", params={"reason": reason}, notice=True)


class NoGpu(Exception):
    """The driver works, but finds no device."""


class Nvml:
    """NVIDIA's management library, loaded at the first request and again after a failure."""

    def __init__(self) -> None:
        self._library: ModuleType | None = None

    def read(self) -> tuple[Gpu, ...]:
        """All devices. Raises whatever the library raises, or NoGpu."""
        try:
            if self._library is None:
                library = importlib.import_module("pynvml")
                library.nvmlInit()
                self._library = library
            count = self._library.nvmlDeviceGetCount()
            gpus = tuple(_device(self._library, index) for index in range(count))
        except Exception:
            self._library = None  # initialized anew next time, as the driver may have been replaced
            raise
        if not gpus:
            raise NoGpu
        return gpus


def _device(library: ModuleType, index: int) -> Gpu:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    total = int(_number(memory.total, 0, math.inf) or 0)
    return Gpu(
        index=index,
        name=_name(library.nvmlDeviceGetName(handle)),
        used=int(_number(memory.used, 0, total) or 0),
        total=total,
        load=_optional(library, lambda: library.nvmlDeviceGetUtilizationRates(handle).gpu, 100),
        temperature=_optional(library, lambda: library.nvmlDeviceGetTemperature(handle, 0), 200),
        power=_optional(library, lambda: library.nvmlDeviceGetPowerUsage(handle) / 1000, 5000),
    )


def _optional(library: ModuleType, read: Callable[[], Any], high: float) -> float | None:
    """A number that some devices (MIG slices, laptops) do not have; None there."""
    try:
        return _number(read(), 0, high)
    except library.NVMLError as error:
        if "NotSupported" in type(error).__name__ or "NoPermission" in type(error).__name__:
            return None
        raise


def _number(value: object, low: float, high: float) -> float | None:
    """`value` where it is a plausible number, else None."""
    if not isinstance(value, int | float) or math.isnan(value) or not low <= value <= high:
        return None
    return float(value)


def _name(value: object) -> str:
    """The name of a device as printable text; old libraries give bytes."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = "".join(mark for mark in text if mark.isprintable()).strip()
    return text.removeprefix("NVIDIA ").removeprefix("GeForce ")[:40]
