"""Compute with tensors without data: count the bytes that are kept, by the kernels of real tensors.

On the device "meta" a tensor has a shape and no data, so that a step of a model of any size takes
milliseconds and no memory.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from backend.contract.arguments.typed import Arguments
from backend.estimate.timeline import Segment
from backend.model.device import device, training_precision

HEAP = 32 * 2**20  # bytes; glibc asks the kernel for every block above (DEFAULT_MMAP_THRESHOLD_MAX)
# Keeps queries, keys, values, output and a number for each query, as those of GPUs do.
KERNEL = "_scaled_dot_product_flash_attention_for_cpu"
# What torch.autocast computes in half precision, as far as language models use it.
HALVED = {
    *(functional.linear, functional.scaled_dot_product_attention, torch.matmul, torch.bmm),
    *(torch.addmm, torch.baddbmm, Tensor.matmul, Tensor.__matmul__, Tensor.bmm),
}


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


class MetaKernels(TorchFunctionMode):
    """Within it, attention on the device "meta" takes the kernel that keeps no matrix of scores.

    masked  answers what models ask of the values of an attention mask: whether every token may be
            seen by those after it, so that no mask is needed
    half    the dtype of mixed precision, whose torch.autocast passes this device over; None: none
    """

    def __init__(self, *, masked: bool, half: torch.dtype | None = None) -> None:
        super().__init__()
        self.masked, self.half = masked, half

    @classmethod
    def of(cls, values: Arguments, *, masked: bool) -> "MetaKernels":
        """Those of a training with these arguments on this machine."""
        precision = training_precision(values)
        half = torch.bfloat16 if precision.bf16 else torch.float16 if precision.fp16 else None
        return cls(masked=masked, half=half)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do the operation, by another kernel where it needs one."""
        del types
        if self.half is not None and func in HALVED:
            args = tuple(self._cast(each) for each in args)
            kwargs = {name: self._cast(each) for name, each in (kwargs or {}).items()}
        if func is functional.scaled_dot_product_attention:
            return _attend(*args, **(kwargs or {}))
        if func is Tensor.__bool__ and args[0].is_meta:
            return not self.masked
        return func(*args, **(kwargs or {}))

    def _cast(self, value: Any) -> Any:
        """A tensor of numbers in half precision; anything else as it is."""
        floats = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(self.half) if floats else value


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """As torch's function, whose own choice of a kernel knows nothing of this device.

    Of heads of unlike sizes, and on a CPU with dropout, the scores are kept. A mask of booleans is
    turned into numbers, which are kept for each layer.
    """
    drops = dropout_p > 0 and device() == "cpu"
    if drops or query.shape[-1] != value.shape[-1]:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, **options
        )
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = attn_mask.to(query.dtype)
    kernel = getattr(torch.ops.aten, KERNEL)
    attended: Tensor = kernel(query, key, value, 0.0, is_causal, attn_mask=attn_mask)[0]
    return attended
