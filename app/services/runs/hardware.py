"""Measure the machine: GPUs, processor, memory, disk."""

import importlib
import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import psutil

from app.i18n import t
from backend.contract.folders.home import home
from backend.contract.texts.problems import Problem

PERIOD_S = 1.0
IDLE_S = 30.0  # without a request for so long the thread ends
GPU_TIMEOUT_S = 3.0  # after this time a driver counts as hanging
GPU_RETRY_S = 60.0  # the wait before a failed driver is asked again
FIRST_WAIT_S = 1.0
GIB = 2**30  # the unit of memory, which its makers call GB
GB = 1e9  # the unit of disks


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


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One measurement, in bytes and percent. `gpu_note` says why there are no GPU figures."""

    gpus: tuple[Gpu, ...] = ()
    gpu_note: Problem | None = None
    cpu: float = 0.0
    ram_used: int = 0
    ram_total: int = 0
    disk_free: int = 0
    disk_total: int = 0
    time: float = 0.0


def snapshot() -> Snapshot:
    """The newest measurement, about a second old at most while pages are open."""
    return _sampler.latest()


def strip(now: Snapshot, lang: str) -> str:
    """One line for the page's header: GPUs (or that there is none), memory, processor, disk."""
    parts = [_gpu_text(gpu, lang) for gpu in now.gpus]
    if not parts and now.gpu_note is not None:
        parts.append(now.gpu_note.text(lang))
    parts.append(t("hardware.ram", lang, **_memory(now.ram_used, now.ram_total)))
    parts.append(t("hardware.cpu", lang, load=round(now.cpu)))
    parts.append(t("hardware.disk", lang, free=f"{now.disk_free / GB:.0f}"))
    return " · ".join(parts)


def _gpu_text(gpu: Gpu, lang: str) -> str:
    text = t(
        "hardware.gpu",
        lang,
        index=gpu.index,
        name=gpu.name,
        **_memory(gpu.used, gpu.total),
    )
    return text if gpu.load is None else f"{text} {round(gpu.load)} %"


def _memory(used: int, total: int) -> dict[str, str]:
    return {"used": f"{used / GIB:.1f}", "total": f"{total / GIB:.0f}"}


class Sampler:
    """The thread that measures once a second; it starts at a request and ends without further ones.

    The GPU driver is called in a thread of its own, because it can hang. While it does, the other
    figures go on, and it is not called again.
    """

    def __init__(self, read_gpus: Callable[[], tuple[Gpu, ...]] | None = None) -> None:
        self._read_gpus = read_gpus or Nvml().read
        self._lock = threading.Lock()
        self._asked = 0.0
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._now = Snapshot()
        self._gpu = _GpuWatch(self._read_gpus)

    def latest(self) -> Snapshot:
        """The newest snapshot. Starts the thread and waits a moment for its first measurement."""
        with self._lock:
            self._asked = time.monotonic()
            if self._thread is None or not self._thread.is_alive():
                self._ready.clear()
                self._thread = threading.Thread(target=self._run, name="hardware", daemon=True)
                self._thread.start()
        self._ready.wait(FIRST_WAIT_S)
        return self._now

    def _run(self) -> None:
        while True:
            self._now = self._look()
            self._ready.set()
            time.sleep(PERIOD_S)
            with self._lock:
                if time.monotonic() - self._asked > IDLE_S:
                    self._thread = None
                    return

    def _look(self) -> Snapshot:
        gpus, note = self._gpu.read()
        memory = psutil.virtual_memory()
        free, total = _disk()
        return Snapshot(
            gpus=gpus,
            gpu_note=note,
            cpu=psutil.cpu_percent(),
            ram_used=memory.total - memory.available,
            ram_total=memory.total,
            disk_free=free,
            disk_total=total,
            time=time.time(),
        )


class _GpuWatch:
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
            self._library = None  # initialised anew next time, as the driver may have been replaced
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
    """A figure that some devices (MIG slices, laptops) do not have; None there."""
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


def _disk() -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(home())
    except OSError:  # the working folder was removed
        return 0, 0
    return usage.free, usage.total


_sampler = Sampler()
