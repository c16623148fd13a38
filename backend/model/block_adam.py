"""BAdam: Adam on one part of the model at a time, so that only its moments are in memory.

Luo et al., "BAdam: A Memory Efficient Full Parameter Optimization Method for Large Language
Models", 2024. Their package cannot resume: its checkpoints do not say which block is active.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainingArguments

from backend.contract.arguments.field import Value
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError
from backend.model.freezing import layers

Parameters = list[torch.nn.Parameter]


def build(model: Any, args: TrainingArguments, values: Arguments) -> torch.optim.Optimizer:
    """Build BAdam with the settings in `values` over the weights that learn.

    Raises UsageError where badam_start_block is not one of the layers that learn.
    """
    options = {
        "lr": args.learning_rate,
        "betas": (args.adam_beta1, args.adam_beta2),
        "eps": args.adam_epsilon,
        "weight_decay": args.weight_decay,
    }
    every = values.badam_switch_interval
    if values.badam_mode == "ratio":
        ratio = values.badam_update_ratio or 0.05
        scattered = values.badam_mask_mode == "scatter"
        words = model.get_input_embeddings().weight.requires_grad_(requires_grad=False)
        learning = [each for each in model.parameters() if each.requires_grad and each is not words]
        return RatioAdam(learning, ratio=ratio, every=every, scattered=scattered, **options)
    blocks = _blocks(model)
    mode = values.badam_switch_mode
    order = _order(mode, values.badam_start_block, len(blocks), args.seed)
    return BlockAdam(blocks, order=order, every=every, **options)


class BlockAdam(torch.optim.AdamW):
    """AdamW on one block of weights at a time; the others need no gradient meanwhile.

    `order` lists the block numbers, and starts again after its end; each block has `every` steps
    and begins without moments. Weights outside all blocks do not learn.
    """

    def __init__(
        self, blocks: list[Parameters], *, order: list[int], every: int, **options: Any
    ) -> None:
        super().__init__([{"params": block, "steps": 0} for block in blocks], **options)
        self.order, self.every = order, every
        self._activate()

    @property
    def active(self) -> int:
        """The number of the block that learns."""
        return self.order[self.param_groups[0]["steps"] // self.every % len(self.order)]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step on the active block; after its last step the next block becomes active."""
        loss = super().step(closure)
        for group in self.param_groups:  # in each, since a checkpoint keeps what groups hold
            group["steps"] += 1
        if self.param_groups[0]["steps"] % self.every == 0:
            self.state.clear()
            self._activate()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state as AdamW does, and activate the block of the checkpoint."""
        super().load_state_dict(state_dict)
        self._activate()

    def _activate(self) -> None:
        for number, group in enumerate(self.param_groups):
            for weights in group["params"]:
                weights.requires_grad_(requires_grad=number == self.active)
                weights.grad = None


class RatioAdam(torch.optim.Optimizer):
    """Adam on a share `ratio` of the numbers of each weight, on others after `every` steps.

    The numbers are adjacent, or (scattered) in random places; after 1 / ratio turns all were used.
    """

    def __init__(
        self, weights: Parameters, *, ratio: float, every: int, scattered: bool, **options: Any
    ) -> None:
        super().__init__(
            weights, {**options, "ratio": ratio, "every": every, "scattered": scattered}
        )
        self.chosen: dict[torch.Tensor, torch.Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step of Adam (Kingma and Ba, 2015) with decoupled weight decay."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for number, weights in enumerate(group["params"]):
                self._update(weights, number, group)
        return loss

    def _update(self, weights: torch.Tensor, number: int, group: dict[str, Any]) -> None:
        if weights.grad is None:
            return
        state = self.state[weights]
        turn, within = divmod(int(state.get("steps", 0)), group["every"])
        if within == 0 or weights not in self.chosen:
            self.chosen[weights] = _choose(weights, number, turn, group)
        chosen = self.chosen[weights]
        gradient = weights.grad.reshape(-1)[chosen]
        if within == 0:
            state["first"] = torch.zeros_like(gradient)
            state["second"] = torch.zeros_like(gradient)
        low, high = group["betas"]
        state["first"].lerp_(gradient, 1 - low)
        state["second"].mul_(high).addcmul_(gradient, gradient, value=1 - high)
        rise = 1 - low ** (within + 1), math.sqrt(1 - high ** (within + 1))
        scaled = state["second"].sqrt() / rise[1] + group["eps"]
        flat = weights.view(-1)
        now = flat[chosen] * (1 - group["lr"] * group["weight_decay"])
        flat[chosen] = now - group["lr"] / rise[0] * state["first"] / scaled
        state["steps"] = int(state.get("steps", 0)) + 1


def _choose(weights: torch.Tensor, number: int, turn: int, group: dict[str, Any]) -> torch.Tensor:
    """Indices of the numbers that learn in a turn: the next ones in order, or in a random order."""
    total = weights.numel()
    count = max(1, int(total * group["ratio"]))
    places = (torch.arange(count) + turn * count) % total
    if group["scattered"]:
        mixed = torch.randperm(total, generator=torch.Generator().manual_seed(number))
        places = mixed[places]
    return places.to(weights.device)


def _blocks(model: Any) -> list[Parameters]:
    """The weights that learn, by decoder layer; freezes all weights outside the layers."""
    layer_weights = (
        [each for each in layer.parameters() if each.requires_grad] for layer in layers(model)[1]
    )
    blocks = [block for block in layer_weights if block]
    inside = {id(each) for block in blocks for each in block}
    for weights in model.parameters():
        if id(weights) not in inside:
            weights.requires_grad_(requires_grad=False)
    return blocks


def _order(mode: str, start: Value, count: int, seed: int) -> list[int]:
    if isinstance(start, int) and start >= count:
        params = {"value": start, "last": count - 1}
        raise UsageError(
            Problem(code="badam_start_block", field="badam_start_block", params=params)
        )
    order = list(range(count))
    if mode == "descending":
        order.reverse()
    if mode == "random":
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    if isinstance(start, int):
        begin = order.index(start)
        order = order[begin:] + order[:begin]
    return order[:1] if mode == "fixed" else order
