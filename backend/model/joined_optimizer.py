"""Several optimizers that train one model as if they were one: one state, one schedule."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


class Joined(torch.optim.Optimizer):
    """Optimizers of disjoint weights as one; a step is one of each, in their order."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        states = [part.state for part in parts]
        super().__init__([group for part in parts for group in part.param_groups], {})
        for state in states:
            self.state.update(state)
        self._share()

    def _share(self) -> None:
        """Let each part work on the groups and the state of the whole: a schedule reaches it."""
        start = 0
        for part in self.parts:
            end = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:end], self.state
            start = end

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of each part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any optimizer's; then the parts go on from it."""
        super().load_state_dict(state_dict)
        self._share()


class Layerwise(Joined):
    """Each weight makes its step as soon as its gradient is known, and lets the gradient go.

    So the gradients of all weights are never in memory at once; there is nothing to accumulate.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__(parts)
        for part in self.parts:
            (weights,) = part.param_groups[0]["params"]
            weights.register_post_accumulate_grad_hook(_stepping(part))

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Nothing: the steps were made during the backward pass."""
        return None if closure is None else closure()


def _stepping(part: torch.optim.Optimizer) -> Callable[[torch.Tensor], None]:
    def step(_weights: torch.Tensor) -> None:
        part.step()
        part.zero_grad()

    return step
