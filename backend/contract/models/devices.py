"""How many devices there are and are wanted, told without any library of theirs."""

import os
from pathlib import Path

from backend.contract.arguments.field import TRUE
from backend.contract.arguments.typed import Arguments

NVIDIA = Path("/proc/driver/nvidia/gpus")
AMD, RENDER = Path("/dev/kfd"), Path("/dev/dri")
WINDOWS = Path("/dev/dxg")  # Linux inside Windows: the GPU is there, and not told by name


def gpus() -> int:
    """GPUs that CUDA_VISIBLE_DEVICES shows, else that the drivers of NVIDIA or AMD tell."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return len([name for name in shown.split(",") if name.strip() not in {"", "-1"}])
    if AMD.exists():
        return len(list(RENDER.glob("renderD*")))
    return len(list(NVIDIA.glob("*"))) or int(WINDOWS.exists())


def group(values: Arguments) -> int:
    """How many processes a training is to have in a group; 0 for one process without a group.

    FORCE_TORCHRUN, NPROC_PER_NODE and what asks for a group by itself (DeepSpeed) count; where no
    number is given, each GPU gets a process.
    """
    number = os.environ.get("NPROC_PER_NODE", "").strip()
    forced = os.environ.get("FORCE_TORCHRUN", "").strip().lower() in TRUE
    if number.isdigit() and int(number) > 1:
        return int(number)
    if forced or values.deepspeed:
        return 1 if number.isdigit() or values.use_cpu else max(1, gpus())
    return 0
