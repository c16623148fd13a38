"""Measure the machine: GPUs, processor, memory, disk."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from app.i18n import t
from backend.contract.folders.home import home
from backend.contract.models.devices import Gpu, GpuWatch, Nvml
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import Problem

PERIOD_S = 1.0
IDLE_S = 30.0  # without a request for so long the thread ends
FIRST_WAIT_S = 1.0
GIB = 2**30  # the unit of memory, which its makers call GB
GB = 1e9  # the unit of disks


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One measurement, in bytes and percent. `gpu_note` says why there are no GPU metrics."""

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
    parts.append(t("hardware.disk", lang, free=format_number(now.disk_free / GB, ",.0f")))
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
    return {
        "used": format_number(used / GIB, ".1f"),
        "total": format_number(total / GIB, ",.0f"),
    }


class Sampler:
    """The thread that measures once a second; it starts at a request and ends without further ones.

    The GPU driver is called in a thread of its own, because it can hang. While it does, the other
    metrics go on, and it is not called again.
    """

    def __init__(self, read_gpus: Callable[[], tuple[Gpu, ...]] | None = None) -> None:
        self._read_gpus = read_gpus or Nvml().read
        self._lock = threading.Lock()
        self._asked = 0.0
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._now = Snapshot()
        self._gpu = GpuWatch(self._read_gpus)

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


def _disk() -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(home())
    except OSError:  # the working folder was removed
        return 0, 0
    return usage.free, usage.total


_sampler = Sampler()
