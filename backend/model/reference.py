"""Models beside the one that learns: a reference that it stays near, a reward model, a teacher.

Such a model has arguments of its own, like ref_model, ref_model_adapters and
ref_model_quantization_bit, which replace those of the model that learns.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.model import adapters, load
from backend.model.device import training_precision


@dataclass(frozen=True)
class OtherModel:
    """A model with loading arguments of its own.

    name          the argument that names the model, like ref_model
    adapters      the argument for adapters on it
    quantization  the argument for the bits of its weights
    rest          the argument to blame for problems of other arguments ("" leaves them as they are)
    """

    name: ArgumentName
    adapters: ArgumentName
    quantization: ArgumentName
    rest: str = ""

    @property
    def arguments(self) -> dict[ArgumentName, ArgumentName]:
        """Its own arguments -> the arguments for loading that they replace."""
        return {
            self.name: "model_name_or_path",
            self.adapters: "adapter_name_or_path",
            self.quantization: "quantization_bit",
        }

    def loading_arguments(self, values: Arguments) -> Arguments:
        """The values for loading this model."""
        pairs = self.arguments.items()
        return values.merge({name: values[own] for own, name in pairs})

    def redirect_problem(self, problem: Problem) -> Problem:
        """A problem of loading this model, with its own argument as the field."""
        meant: dict[str, str] = {name: own for own, name in self.arguments.items()}
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
        """Freeze the model and move it to the device `place`; a quantized one is there already."""
        placed = model if load.is_quantized(self.loading_arguments(values)) else model.to(place)
        return placed.requires_grad_(requires_grad=False).eval()


# The reference, where it is another model than the start of the policy.
OTHER = OtherModel("ref_model", "ref_model_adapters", "ref_model_quantization_bit")


class Reference:
    """Gives the policy as it was before training, with little memory, or another model.

    Raises ModelError where that model cannot be loaded, and UsageError where ZeRO 3 shards the
    weights.

    another model   where ref_model, its adapters or its quantization are given
    adapters off    where a new adapter changes nothing at its start
    a copy          of the weights that learn (all, some layers, a continued adapter), which
                    replaces them while the reference computes
    """

    def __init__(self, policy: Any, values: Arguments, vocabulary: int) -> None:
        self.policy = policy
        self.other: Any = None
        self.start: dict[str, torch.Tensor] = {}
        neutral, other = starts_neutral(values), is_other(values)
        if (other or not neutral) and any(hasattr(each, "ds_id") for each in policy.parameters()):
            raise UsageError(Problem(code="reference_and_zero3", field="deepspeed"))
        if other:
            self.other = _load(values, vocabulary, policy.device)
        elif not neutral:
            self.start = {
                name: weights.detach().clone()
                for name, weights in policy.named_parameters()
                if weights.requires_grad
            }

    @contextmanager
    def model(self) -> Iterator[Any]:
        """Give the reference model inside the context, without gradient and dropout."""
        if self.other is not None:
            with torch.no_grad():
                yield self.other
            return
        before = self._at_start() if self.start else self.policy.disable_adapter()
        with evaluation_mode(self.policy), before:
            yield self.policy

    @contextmanager
    def _at_start(self) -> Iterator[None]:
        """Replace the learned weights by those before training inside the context."""
        learned = {
            name: weights for name, weights in self.policy.named_parameters() if name in self.start
        }
        assert learned.keys() == self.start.keys(), "the policy's weights are spread or renamed"
        now = {name: weights.data for name, weights in learned.items()}
        try:
            for name, weights in learned.items():
                weights.data = self.start[name]
            yield
        finally:
            for name, weights in learned.items():
                weights.data = now[name]


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Let a model compute without gradient and dropout inside the context."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def is_other(values: Arguments) -> bool:
    """Whether the arguments name a reference of their own."""
    return any(values[name] for name in OTHER.arguments)


def starts_neutral(values: Arguments) -> bool:
    """Whether the adapter is new and changes nothing before training."""
    continued = load.adapter_folders(values) and not values.create_new_adapter
    shifted = values.pissa_init or values.init_lora_weights in {"olora", "loftq"}
    return is_adapter(values.finetuning_type) and not continued and not shifted


def base_notices(values: Arguments) -> list[Problem]:
    """A notice for each adapter of the reference that was trained on another base."""
    if not values.ref_model_adapters:
        return []
    return [
        OTHER.redirect_problem(each)
        for each in load.base_notices(OTHER.loading_arguments(with_model_name(values)))
    ]


def with_model_name(values: Arguments) -> Arguments:
    """The values with ref_model set, to the policy's model where it is not given."""
    return values.replace(ref_model=values.ref_model or values.model_name_or_path)


def _load(values: Arguments, vocabulary: int, place: torch.device) -> Any:
    """Load the other model, freeze it and move it to the device `place`.

    Raises ModelError for the arguments that name it.
    """
    own_values = with_model_name(values)
    model = OTHER.load(own_values)
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < vocabulary:
        params = {"rows": rows, "tokens": vocabulary}
        raise ModelError(Problem(code="reference_vocabulary", field="ref_model", params=params))
    return OTHER.freeze(model, own_values, place)
