"""Operations that tensors without data cannot do, or would do by another kernel than real ones."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from backend.contract.arguments.typed import Arguments
from backend.model.device import device, training_precision

# Keeps queries, keys, values, output and a number for each query, as those of GPUs do.
KERNEL = "_scaled_dot_product_flash_attention_for_cpu"
# What torch.autocast computes in half precision, as far as language models use it.
HALVED = {
    *(functional.linear, functional.scaled_dot_product_attention, torch.matmul, torch.bmm),
    *(torch.addmm, torch.baddbmm, Tensor.matmul, Tensor.__matmul__, Tensor.bmm),
}


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
