"""The memory of a training step, and of drawing answers, measured on a model without weights.

A step is one forward and backward pass, in segments. Each kind of layer is computed once, as the
others of its kind take the same.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.estimate import losses
from backend.estimate.meta_tensors import MetaKernels, Tracker
from backend.estimate.skeleton import Skeleton, layers_of
from backend.estimate.timeline import HEAD, START, Passes, Segment
from backend.estimate.workload import Workload
from backend.model import adapters

SAMPLING = 8  # arrays like a row's logits: sorted ones, their places (int64), sums, chances


def measure(skeleton: Skeleton, values: Arguments, work: Workload) -> tuple[dict[str, Passes], int]:
    """The segments of each part of a step, and the largest tensor of it on the heap, in bytes."""
    model = skeleton.model
    if uses_checkpointing(model, values):
        again = {"context_fn": lambda: (nullcontext(), MetaKernels.of(values, masked=work.masked))}
        model.activation_checkpointing_enable({"use_reentrant": False, **again})
    learned = [each for each in model.parameters() if each.requires_grad]
    if values.gradient_accumulation_steps > 1:  # the gradients are there from the first batch on
        for each in learned:
            each.grad = torch.empty_like(each)
    grads = [each.grad for each in learned if each.grad is not None]
    known = (*model.parameters(), *model.buffers(), *grads)
    with MetaKernels.of(values, masked=work.masked), Tracker(known) as tracker:
        stopwatch = _Stopwatch(model, skeleton.chosen, tracker)
        passes = stopwatch.run(lambda: losses.compute(model, values, work))
    return passes, tracker.largest


def uses_checkpointing(model: Any, values: Arguments) -> bool:
    """Whether the layers are computed again in the backward pass instead of being kept."""
    supported = bool(adapters.base_of(model).supports_gradient_checkpointing)
    return supported and adapters.wants_checkpointing(values)


class _Stopwatch:
    """Ends a segment wherever a pass leaves a layer."""

    def __init__(self, model: Any, parts: Sequence[str], tracker: Tracker) -> None:
        self.model, self.tracker = model, tracker
        self.order = [START, *parts, HEAD]
        self.forward: dict[str, Segment] = {}
        self.backward: dict[str, Segment] = {}
        self.learned = [each for each in model.parameters() if each.requires_grad]
        self.reached = len(self.order)  # the first part that a gradient gets to
        self.before = self._gradients()

    def run(self, compute: Callable[[], Tensor]) -> dict[str, Passes]:
        """The segments of both passes."""
        hooks = [
            layer.register_forward_pre_hook(self._enter(place), with_kwargs=True)
            for place, layer in enumerate(layers_of(self.model))
        ]
        last = layers_of(self.model)[-1]
        hooks.append(last.register_forward_hook(self._leave))
        loss = compute()
        self.forward[HEAD] = self.tracker.lap()
        for hook in hooks:
            hook.remove()
        loss.backward()
        self._end_backward(self.order[self.reached - 1])
        return {name: Passes(self.forward[name], self.backward.get(name)) for name in self.order}

    def _enter(self, place: int) -> Callable[..., None]:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.forward[self.order[place]] = self.tracker.lap()
            self._watch(args[0] if args else kwargs["hidden_states"], place + 1)

        return hook

    def _leave(self, _: Any, __: Any, output: Any) -> None:
        self.forward[self.order[-2]] = self.tracker.lap()
        self._watch(output[0] if isinstance(output, tuple) else output, len(self.order) - 1)

    def _watch(self, states: Tensor, place: int) -> None:
        """End the segment of the part at `place` when the gradient of what enters it is there."""
        if states.requires_grad:
            self.reached = min(self.reached, place)
            states.register_hook(lambda _: self._end_backward(self.order[place]))

    def _end_backward(self, name: str) -> None:
        now = self._gradients()
        self.backward[name] = self.tracker.lap(now - self.before)
        self.before = now

    def _gradients(self) -> int:
        grads = [each.grad for each in self.learned if each.grad is not None]
        return sum(each.numel() * each.element_size() for each in grads)


def measure_answers(skeleton: Skeleton, values: Arguments, work: Workload) -> dict[str, int]:
    """The bytes of drawing answers, by part. The keys and values of all tokens are kept for those
    that follow."""
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
