"""Count the bytes of the tensors that a computation keeps in memory, also of tensors without data.

On the device "meta" a tensor has a shape and no data, so that a step of a model of any size takes
milliseconds and no memory.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from backend.estimate.timeline import Segment

HEAP = 32 * 2**20  # bytes; glibc asks the kernel for every block above (DEFAULT_MMAP_THRESHOLD_MAX)


class Tracker(TorchDispatchMode):
    """Within it, each new storage is counted from its creation until it is freed.

    The storages of `known` (weights) are not counted. `lap` ends a segment and begins the next;
    `largest` is the size of the largest storage that comes from the heap of the C library.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.known = {
            id(storage): storage for storage in (each.untyped_storage() for each in known)
        }
        self.sizes: dict[int, int] = {}  # id of a storage -> bytes
        self.level = self.top = self.start = self.largest = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do the operation, and count its results."""
        del types
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self._count(each)
        return result

    def lap(self, gradients: int = 0) -> Segment:
        """What has happened since the last lap; `gradients` are the bytes that these add to it."""
        segment = Segment(self.top - self.start, self.level - self.start, gradients)
        self.start = self.top = self.level
        return segment

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)  # a storage keeps its object for as long as it lives
        if key in self.known or key in self.sizes:
            return
        self.sizes[key] = storage.nbytes()
        self.level += self.sizes[key]
        if self.sizes[key] <= HEAP:
            self.largest = max(self.largest, self.sizes[key])
        self.top = max(self.top, self.level)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.level -= self.sizes.pop(key, 0)
