"""What a training needs beside its tensors: the process with its libraries, on a CPU."""

import functools
import sys

import psutil
import torch
from accelerate.utils import extract_model_from_parallel

from backend.model.device import device
from backend.stages.table import stage_trainer


def framework(stage: str) -> int | None:
    """Bytes of a process that has imported, read and computed what a training of the stage does
    before its first step, as this one has at the end of its first estimate.

    What this process takes on for further estimates is not counted, but for the imports of other
    stages. None on a GPU, where it is the context of the driver and the workspaces of its
    libraries: these are known once something was computed there.
    """
    if device() == "cuda":
        return None
    more = _import_stage(stage)
    return _first_size() + more


def allocator(largest: int) -> int:
    """Bytes that the C library keeps of what was freed; `largest` is the largest block on its heap.

    glibc moves its threshold for blocks of their own up to the largest that was freed, and gives
    the end of the heap back once twice as much is free there (mallopt(3), M_TRIM_THRESHOLD).
    """
    return 2 * largest if device() == "cpu" and sys.platform == "linux" else 0


@functools.cache
def _import_stage(stage: str) -> int:
    """Bytes that the imports of a stage add to this process, once its size was measured."""
    before = _size()
    stage_trainer(stage)
    return max(0, _size() - before) if _first_size.cache_info().currsize else 0


@functools.cache
def _first_size() -> int:
    """Bytes of this process once torch has loaded what it loads at a first step: kernels,
    optimizers, the engine of autograd; and accelerate what it imports to look at a model."""
    extract_model_from_parallel(torch.nn.Linear(1, 1))
    weights = torch.nn.Parameter(torch.ones(8, 8))
    optimizer = torch.optim.AdamW([weights])
    (weights @ weights).sum().backward()
    optimizer.step()
    return _size()


def _size() -> int:
    return int(psutil.Process().memory_info().rss)
