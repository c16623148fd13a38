"""What a training needs beside its tensors: the process with its libraries, on a CPU."""

import functools

import psutil

from backend.model.device import device
from backend.train import stage_trainer


@functools.cache
def framework(stage: str) -> int | None:
    """Bytes of a process that has imported what a training of the stage imports, as this one has.

    None on a GPU, where it is the context of the driver and the workspaces of its libraries: these
    are known once something was computed there.
    """
    stage_trainer(stage)
    return None if device() == "cuda" else int(psutil.Process().memory_info().rss)
