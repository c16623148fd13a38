"""Figures that a stage notes batch by batch, averaged when a row is logged."""

from collections.abc import Mapping
from typing import Any

import torch


class Figures:
    """Means of named figures since the last `take`, over all processes."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}  # name -> float64 [sum, count] on the CPU

    def note(self, name: str, values: torch.Tensor) -> None:
        """Add the elements of `values` (any shape, may be empty) to the mean of `name`."""
        numbers = values.detach().double()
        row = torch.stack([numbers.sum(), torch.tensor(float(numbers.numel())).to(numbers)]).cpu()
        self.sums[name] = self.sums[name] + row if name in self.sums else row

    def mean(self, name: str, accelerator: Any) -> float:
        """The mean of a figure since the last `take`, over all processes; 0 without elements."""
        row = self.sums.get(name, torch.zeros(2, dtype=torch.float64))
        total, count = self._sum(row, accelerator)
        return total / max(count, 1.0)

    def take(self, accelerator: Any, prefix: str = "") -> dict[str, float]:
        """The means by prefixed name; a name without elements is left out. Starts anew."""
        means: dict[str, float] = {}
        for name, row in sorted(self.sums.items()):
            total, count = self._sum(row, accelerator)
            if count:
                means[prefix + name] = total / count
        self.sums = {}
        return means

    @staticmethod
    def _sum(row: torch.Tensor, accelerator: Any) -> tuple[float, float]:
        """Sum and count of a figure over all processes."""
        if accelerator.num_processes > 1:
            row = accelerator.gather(row.float().to(accelerator.device)[None]).sum(0)
        total, count = row.tolist()
        return total, count

    def state(self) -> dict[str, list[float]]:
        """The open window, as JSON can hold it."""
        return {name: row.tolist() for name, row in self.sums.items()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Open a window again that `state` gave."""
        self.sums = {name: torch.tensor(row, dtype=torch.float64) for name, row in state.items()}
