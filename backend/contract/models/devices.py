"""Count the devices of the machine, and the processes of a training, without a GPU library."""

import os
from pathlib import Path

from backend.contract.arguments.field import TRUE
from backend.contract.arguments.typed import Arguments

NVIDIA = Path("/proc/driver/nvidia/gpus")
AMD, RENDER = Path("/dev/kfd"), Path("/dev/dri")
WINDOWS = Path("/dev/dxg")  # Linux inside Windows (WSL): one GPU or more, which are not listed


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
