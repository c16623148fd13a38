"""What a training needs beside its tensors: the process with its libraries, on a CPU."""

import functools
import sys

import psutil
import torch

from backend.model.device import device
from backend.train import stage_trainer


@functools.cache
def framework(stage: str) -> int | None:
    """Bytes of a process that has imported, read and computed what a training of the stage does
    before its first step, as this one has at the end of its first estimate.

    None on a GPU, where it is the context of the driver and the workspaces of its libraries: these
    are known once something was computed there.
    """
    if device() == "cuda":
        return None
    stage_trainer(stage)
    _train_a_number()
    return int(psutil.Process().memory_info().rss)


def allocator(largest: int) -> int:
    """Bytes that the C library keeps of what was freed; `largest` is the largest block on its heap.

    glibc moves its threshold for blocks of their own up to the largest that was freed, and gives
    the end of the heap back once twice as much is free there (mallopt(3), M_TRIM_THRESHOLD).
    """
    return 2 * largest if device() == "cpu" and sys.platform == "linux" else 0


def _train_a_number() -> None:
    """Let torch load what it loads at a first step: kernels, optimizers, the engine of autograd."""
    weights = torch.nn.Parameter(torch.ones(8, 8))
    optimizer = torch.optim.AdamW([weights])
    (weights @ weights).sum().backward()
    optimizer.step()
