"""A stand-in for NVIDIA's management library; put this folder on sys.path before the real one.

FAKE_NVML says what it does: "two" (default), "none", "LibraryNotFound", "DriverNotLoaded",
"NoPermission", "ImportError", "lost" (fails at the fifth look), "hang", "garbage".
FAKE_NVML_HANG is for how many seconds "hang" hangs.
"""

import os
import time
from types import SimpleNamespace

MODE = os.environ.get("FAKE_NVML", "two")
GIB = 1024**3


class NVMLError(Exception):
    """As in the real library: one subclass an error."""


class NVMLError_LibraryNotFound(NVMLError):
    """libnvidia-ml is not there."""


class NVMLError_DriverNotLoaded(NVMLError):
    """The kernel module is not loaded."""


class NVMLError_NoPermission(NVMLError):
    """This user may not ask."""


class NVMLError_GpuIsLost(NVMLError):
    """The GPU has fallen off the bus."""


class NVMLError_NotSupported(NVMLError):
    """The device does not give this figure."""


if MODE == "ImportError":
    raise ImportError("no NVML here")

looks = 0


def nvmlInit() -> None:
    """Fails in the modes that are named after an error."""
    failure = globals().get(f"NVMLError_{MODE}")
    if failure is not None:
        raise failure


def nvmlDeviceGetCount() -> int:
    """Two devices, or none."""
    global looks
    looks += 1
    if MODE == "lost" and looks >= 5:
        raise NVMLError_GpuIsLost
    if MODE == "hang":
        time.sleep(float(os.environ.get("FAKE_NVML_HANG", "60")))
    return 0 if MODE == "none" else 2


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    """The index serves as the handle."""
    return index


def nvmlDeviceGetName(handle: int) -> str | bytes:
    """Text, or bytes as in old versions."""
    return b"NVIDIA \xff\x1b[31mBroken" if MODE == "garbage" else "NVIDIA GeForce RTX 4090"


def nvmlDeviceGetMemoryInfo(handle: int) -> SimpleNamespace:
    """Bytes; in garbage mode more is used than there is, or less than nothing."""
    if MODE == "garbage":
        return SimpleNamespace(total=24 * GIB, used=-5 if handle else 99 * GIB, free=0)
    return SimpleNamespace(total=24 * GIB, used=(12 + handle) * GIB, free=(12 - handle) * GIB)


def nvmlDeviceGetUtilizationRates(handle: int) -> SimpleNamespace:
    """Percent."""
    return SimpleNamespace(gpu=float("nan") if MODE == "garbage" else 87, memory=40)


def nvmlDeviceGetTemperature(handle: int, sensor: int) -> int:
    """Celsius."""
    return -300 if MODE == "garbage" else 65


def nvmlDeviceGetPowerUsage(handle: int) -> int:
    """Milliwatts; the second device does not give it, as MIG slices do not."""
    if handle:
        raise NVMLError_NotSupported
    return 320_000
