"""The memory that a training may take: of each GPU, or of the machine or the container."""

import os
from pathlib import Path
from typing import Any

import psutil

from backend.contract.models.devices import GpuWatch, Nvml

LIMIT = "TUNEBOARD_MEMORY_GB"
GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")

Place = dict[str, Any]


def free_memory(device: str, held: int = 0) -> list[Place]:
    """Name, free bytes and all bytes of each GPU, or of the main memory where that computes.

    `held` are bytes that the training has taken already, which count as free. The variable LIMIT
    of the environment, in GB of 10^9 bytes, says how much of each a training may take in all,
    where that is less.
    """
    if device == "cuda":
        gpus, _ = GpuWatch(Nvml().read).read()
        sizes = [(f"GPU {gpu.index} {gpu.name}", gpu.total - gpu.used, gpu.total) for gpu in gpus]
    else:
        memory = psutil.virtual_memory()
        rooms = [(memory.available, memory.total), *container_rooms()]
        sizes = [("RAM", min(free for free, _ in rooms), min(whole for _, whole in rooms))]
    limit = float(os.environ.get(LIMIT) or "inf") * 1e9
    return [
        {"name": name, "free": int(min(free + held, limit)), "all": int(min(whole, limit))}
        for name, free, whole in sizes
    ]


def least_free(places: list[Place]) -> int:
    """The bytes that are free in the fullest of the places."""
    return min((int(place["free"]) for place in places), default=0)


def container_rooms(groups: Path = GROUPS, own: Path = OWN_GROUP) -> list[tuple[int, int]]:
    """Free bytes and all bytes within each limit that a container sets to this process.

    Read from the files of Linux's control groups (cgroup v2); memory that only holds files for
    later reads counts as free, as the kernel gives it back.
    """
    try:
        name = own.read_text().strip().rpartition("::")[2].lstrip("/")
    except OSError:
        return []
    rooms = []
    for folder in (groups / name, *(groups / name).parents):
        if not folder.is_relative_to(groups):
            break
        try:
            limit = int((folder / "memory.max").read_text())  # the word "max" is no limit
            used = int((folder / "memory.current").read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        rooms.append((limit - used + int(stat.get("inactive_file", 0)), limit))
    return rooms
