"""Load another model beside the one that learns: a reference, a reward model or a teacher.

It has arguments of its own, like ref_model, ref_model_adapters and ref_model_quantization_bit,
which replace those of the model that learns.
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
    """A model with loading arguments of its own.

    name  the argument that names the model, like ref_model
    rest  the argument to blame for problems of other arguments ("" leaves them as they are)
    """

    name: str
    rest: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """Its own arguments -> the arguments for loading that they replace."""
        return {
            self.name: "model_name_or_path",
            f"{self.name}_adapters": "adapter_name_or_path",
            f"{self.name}_quantization_bit": "quantization_bit",
        }

    def loading_arguments(self, values: Arguments) -> Arguments:
        """The values for loading this model."""
        pairs = self.arguments.items()
        return values.replace(**{name: getattr(values, own) for own, name in pairs})

    def redirect_problem(self, problem: Problem) -> Problem:
        """A problem of loading this model, with its own argument as the field."""
        meant = {name: own for own, name in self.arguments.items()}
        return dataclasses.replace(
            problem, field=meant.get(problem.field, self.rest or problem.field)
        )

    @contextmanager
    def redirect_problems(self) -> Iterator[None]:
        """Give problems in a ModelError the arguments of this model as their fields."""
        try:
            yield
        except ModelError as error:
            raise ModelError(*map(self.redirect_problem, error.problems)) from error

    def load(self, values: Arguments) -> Any:
        """Load the model with its adapters, in the dtype of frozen weights.

        Raises ModelError for its own arguments.
        """
        own_values = self.loading_arguments(values)
        with self.redirect_problems():
            base = load.base_model(own_values, dtype=training_precision(values).frozen)
            return adapters.apply(base, load.adapter_folders(own_values))

    def freeze(self, model: Any, values: Arguments, place: torch.device) -> Any:
        """Freeze the model and move it to the device `place`; a quantised one is there already."""
        placed = model if load.is_quantized(self.loading_arguments(values)) else model.to(place)
        return placed.requires_grad_(requires_grad=False).eval()
