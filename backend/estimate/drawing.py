"""The memory of drawing answers: the keys and values of all tokens are kept for the next ones."""

from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.estimate.kernels import MetaKernels
from backend.estimate.skeleton import Skeleton
from backend.estimate.tracker import Tracker
from backend.estimate.workload import Workload

SAMPLING = 8  # arrays like a row's logits: sorted ones, their places (int64), sums, chances


def measure(skeleton: Skeleton, values: Arguments, work: Workload) -> dict[str, int]:
    """Bytes by part."""
    model = skeleton.model
    ids = torch.zeros(work.rows, work.length, dtype=torch.int64, device="meta")
    known = (*model.parameters(), *model.buffers())
    hook = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, inputs: (inputs[0][:, -1:], *inputs[1:])
    )
    try:
        kernels = MetaKernels.of(values, masked=work.masked)
        with torch.no_grad(), kernels, Tracker(known) as tracker:
            outputs = model.eval()(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True
            )
    finally:
        hook.remove()
    of_layer = [_size(layer) for layer in outputs.past_key_values.layers]
    of_kind = dict(zip(skeleton.chosen, of_layer, strict=True))
    return {
        "cache": sum(of_kind[name] for name in skeleton.names),
        "activations": tracker.top - sum(of_layer) + max(of_layer),  # one grows by being copied
        "logits": SAMPLING * 4 * outputs.logits.numel(),
    }


def _size(layer: Any) -> int:
    """Bytes of what a layer's cache holds."""
    states = [each for each in vars(layer).values() if isinstance(each, Tensor)]
    return sum(each.numel() * each.element_size() for each in states)
