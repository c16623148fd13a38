"""Several optimizers of one model that act as one, with one state and one schedule."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


class JoinedOptimizer(torch.optim.Optimizer):
    """Joins optimizers of disjoint weights; a step is one step of each, in their order."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        states = [part.state for part in parts]
        super().__init__([group for part in parts for group in part.param_groups], {})
        for state in states:
            self.state.update(state)
        self._share()

    def _share(self) -> None:
        """Let each part use the groups and the state of the whole, so that schedules reach it."""
        start = 0
        for part in self.parts:
            end = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:end], self.state
            start = end

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make one step of each part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state as any optimizer does, and share it with the parts."""
        super().load_state_dict(state_dict)
        self._share()


class LayerwiseOptimizer(JoinedOptimizer):
    """Updates each weight as soon as its gradient is known, and then frees the gradient.

    The gradients of all weights are never in memory at once, so none can be accumulated.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__(parts)
        for part in self.parts:
            (weights,) = part.param_groups[0]["params"]
            weights.register_post_accumulate_grad_hook(_make_step_hook(part))

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Do nothing, as the steps were made during the backward pass."""
        return None if closure is None else closure()


def _make_step_hook(part: torch.optim.Optimizer) -> Callable[[torch.Tensor], None]:
    def step(_weights: torch.Tensor) -> None:
        part.step()
        part.zero_grad()

    return step
