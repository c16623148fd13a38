"""Another model beside the one that learns: the reference, a reward model, a teacher.

Arguments of its own (ref_model, ref_model_adapters, ref_model_quantization_bit) stand for those
with which the model that learns is loaded.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import ModelError, Problem
from backend.model import adapters, load
from backend.model.device import training_precision


@dataclass(frozen=True)
class OtherModel:
    """`name` is the argument that names it; `rest` the one about which a problem is told whose own
    argument is none of its arguments ("" leaves such a problem as it is)."""

    name: str
    rest: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """Its arguments -> what they stand for in loading."""
        return {
            self.name: "model_name_or_path",
            f"{self.name}_adapters": "adapter_name_or_path",
            f"{self.name}_quantization_bit": "quantization_bit",
        }

    def described(self, values: Arguments) -> Arguments:
        """The values with which it is loaded."""
        pairs = self.arguments.items()
        return values.replace(**{name: getattr(values, own) for own, name in pairs})

    def about(self, problem: Problem) -> Problem:
        """A problem of loading, with the argument that is meant."""
        meant = {name: own for own, name in self.arguments.items()}
        return dataclasses.replace(
            problem, field=meant.get(problem.field, self.rest or problem.field)
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Within, what is wrong with a model is told about the argument that names this one."""
        try:
            yield
        except ModelError as error:
            raise ModelError(*map(self.about, error.problems)) from error

    def load(self, values: Arguments) -> Any:
        """The model with its adapters, in the precision of what does not learn.

        Raises ModelError, about its own arguments.
        """
        given = self.described(values)
        with self.told():
            base = load.base_model(given, dtype=training_precision(values).frozen)
            return adapters.apply(base, load.adapter_folders(given))

    def freeze(self, model: Any, values: Arguments, place: torch.device) -> Any:
        """The model on the device `place`, to be asked only; a quantised one is there already."""
        placed = model if load.quantized(self.described(values)) else model.to(place)
        return placed.requires_grad_(requires_grad=False).eval()
