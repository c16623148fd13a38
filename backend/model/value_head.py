"""The value head: one number for each token of a text, computed from its hidden state.

A reward model reads it at the end of an answer (Ouyang et al., arXiv:2203.02155), PPO before each
token of one. The file beside a model or adapter is value_head.safetensors, as LLaMA-Factory and trl
write it: v_head.summary.weight [1, hidden] and v_head.summary.bias [1], float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.contract.models.model_folder import VALUE_HEAD
from backend.contract.texts.problems import ModelError, Problem

ATTRIBUTE = "value_head"
KEYS = {"weight": "v_head.summary.weight", "bias": "v_head.summary.bias"}


class ValueHead(torch.nn.Linear):
    """Maps hidden states [n, hidden] of any dtype to values [n] in float32."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden, 1, dtype=torch.float32)

    def forward(self, states: Tensor) -> Tensor:
        """Compute the values in float32, also inside mixed precision."""
        with torch.autocast(states.device.type, enabled=False):
            return super().forward(states.float()).squeeze(-1)

    def read(self, folder: Path, field: str) -> None:
        """Load the weights of a folder.

        Raises ModelError for the argument `field` where there are none or they do not fit.
        """
        if not (folder / VALUE_HEAD).is_file():
            params = {"path": str(folder), "file": VALUE_HEAD}
            raise ModelError(Problem(code="reward_no_head", field=field, params=params))
        try:
            content = load_file(folder / VALUE_HEAD)
            self.load_state_dict({name: content[key].float() for name, key in KEYS.items()})
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            params = {"path": str(folder), "reason": " ".join(str(error).split())[:200]}
            raise ModelError(
                Problem(code="value_head_does_not_fit", field=field, params=params)
            ) from error

    def write(self, folder: Path) -> None:
        """Write the weights into the folder of the model."""
        weights = {KEYS[name]: each.detach().cpu() for name, each in self.state_dict().items()}
        save_file(weights, folder / VALUE_HEAD)


def attach(model: Any, folder: Path, *, random: bool) -> Any:
    """Add a head that learns to the model: that of its folder, else a new one.

    A new one gives 0 everywhere, or (`random`) numbers of about the size of 1, as in Stiennon et
    al., arXiv:2009.01325, for a reward model.
    """
    head = new(model)
    torch.nn.init.normal_(head.weight, std=head.in_features**-0.5 if random else 0.0)
    torch.nn.init.zeros_(head.bias)
    if (folder / VALUE_HEAD).is_file():
        head.read(folder, "model_name_or_path")
    setattr(model, ATTRIBUTE, head)
    return model


def new(model: Any) -> ValueHead:
    """Make a head that fits the model, on its device."""
    hidden = getattr(model.get_output_embeddings(), "in_features", 0)
    head = ValueHead(hidden or model.config.get_text_config().hidden_size)
    return head.to(model.get_input_embeddings().weight.device)


def read(model: Any, folder: Path, field: str) -> ValueHead:
    """Load the head of a folder, frozen, on the model's device; see ValueHead.read."""
    head = new(model)
    head.read(folder, field)
    return head.requires_grad_(requires_grad=False)


def find(model: Any) -> ValueHead | None:
    """The head of a model, wrapped or not, or None."""
    head = getattr(model, "module", model)._modules.get(ATTRIBUTE)
    return head if isinstance(head, ValueHead) else None


@contextmanager
def without_head(model: Any) -> Iterator[ValueHead | None]:
    """Take the head off the model inside the context, so that the model is saved without it."""
    head = model._modules.pop(ATTRIBUTE, None)
    try:
        yield head
    finally:
        if head is not None:
            setattr(model, ATTRIBUTE, head)


def drop_weights(state_dict: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """Gathered weights without those of the head; None for None."""
    if state_dict is None:
        return None
    return {name: each for name, each in state_dict.items() if not name.startswith(ATTRIBUTE + ".")}


def restore(model: Any, folder: Path) -> None:
    """Load the head of a checkpoint where the model has one."""
    head = find(model)
    if head is not None:
        head.read(folder, "resume_from_checkpoint")


@contextmanager
def capture_states(model: Any, places: Tensor, *, logits: bool = True) -> Iterator[list[Tensor]]:
    """Give a list to which each forward pass appends the hidden states at `places`, in row order.

    places  bool [rows, length] of the texts, before which an adapter may have put tokens of its
            own; the states are [n, hidden], as the output layer gets them
    logits  False saves the product with the vocabulary, as the output layer gets no states
    """
    captured: list[Tensor] = []

    def look(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = inputs[0]
        captured.append(states[:, states.shape[1] - places.shape[1] :][places])
        return inputs if logits else (states[:, :0], *inputs[1:])

    layer = getattr(model, "module", model).get_output_embeddings()
    hook = layer.register_forward_pre_hook(look)
    try:
        yield captured
    finally:
        hook.remove()


def values_at(model: Any, head: ValueHead, ids: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
    """The value at one place of each row, float32 [rows].

    ids, mask  int64 [rows, length], the mask 1 where there is no padding
    ends       int64 [rows], the place in each row
    """
    places = torch.arange(ids.shape[1], device=ids.device) == ends[:, None]
    with capture_states(model, places, logits=False) as states:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    return head(states[0])
