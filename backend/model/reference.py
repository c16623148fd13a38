"""The reference of preference learning: the model that the policy must not stray from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from backend.contract.arguments.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import ModelError, Problem, UsageError
from backend.model import load
from backend.model.other import OtherModel

OTHER = OtherModel("ref_model")  # where it is another model than the policy's start


class Reference:
    """The policy as it was before training, at the least cost in memory, or another model.

    Raises ModelError where that cannot be loaded, UsageError where ZeRO 3 has spread the weights.

    another model   where ref_model, its adapters or its quantisation are given
    adapters off    where a new adapter changes nothing at its start
    a copy          of what learns (all weights, some layers, an adapter that is trained on); while
                    the reference computes, it stands in the place of the learned weights
    """

    def __init__(self, policy: Any, values: Arguments, vocabulary: int) -> None:
        self.policy = policy
        self.other: Any = None
        self.start: dict[str, torch.Tensor] = {}
        neutral = _starts_neutral(values)
        other = any(getattr(values, name) for name in OTHER.arguments)
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
        """The model to ask; within, there is no gradient and no dropout."""
        if self.other is not None:
            with torch.no_grad():
                yield self.other
            return
        before = self._at_start() if self.start else self.policy.disable_adapter()
        with still(self.policy), before:
            yield self.policy

    @contextmanager
    def _at_start(self) -> Iterator[None]:
        """Within, the learned weights are those before training."""
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
def still(model: Any) -> Iterator[None]:
    """Within, the model computes without gradient and without dropout."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _starts_neutral(values: Arguments) -> bool:
    """Whether the adapter is new, and of a kind that changes nothing before it has learned."""
    continued = load.adapter_folders(values) and not values.create_new_adapter
    shifted = values.pissa_init or values.init_lora_weights in {"olora", "loftq"}
    return is_adapter(values.finetuning_type) and not continued and not shifted


def base_notices(values: Arguments) -> list[Problem]:
    """A notice for each adapter of another model that was trained on something else."""
    if not values.ref_model_adapters:
        return []
    return [OTHER.about(each) for each in load.base_notices(OTHER.described(_named(values)))]


def _named(values: Arguments) -> Arguments:
    """The values; where only its adapters or its quantisation differ, with the policy's model."""
    return values.replace(**{OTHER.name: values.ref_model or values.model_name_or_path})


def _load(values: Arguments, vocabulary: int, place: torch.device) -> Any:
    """The other model, frozen, on the device `place`.

    Raises ModelError, about the arguments that name it.
    """
    named = _named(values)
    model = OTHER.load(named)
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < vocabulary:
        params = {"rows": rows, "tokens": vocabulary}
        raise ModelError(Problem(code="reference_vocabulary", field="ref_model", params=params))
    return OTHER.freeze(model, named, place)
