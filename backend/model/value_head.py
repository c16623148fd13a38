"""The value head: one number for each place of a text, read off the hidden state there.

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

from backend.contract.base.problems import ModelError, Problem
from backend.contract.models.model_folder import VALUE_HEAD

ATTRIBUTE = "value_head"
KEYS = {"weight": "v_head.summary.weight", "bias": "v_head.summary.bias"}


class ValueHead(torch.nn.Linear):
    """Hidden states [n, hidden] of any dtype to values [n], float32 whatever the precision."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden, 1, dtype=torch.float32)

    def forward(self, states: Tensor) -> Tensor:
        """The values; mixed precision does not reach in here."""
        with torch.autocast(states.device.type, enabled=False):
            return super().forward(states.float()).squeeze(-1)

    def read(self, folder: Path, field: str) -> None:
        """Take the weights of a folder.

        Raises ModelError, about the argument `field`, where there are none or they do not fit.
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
        """Write the weights beside the model's own."""
        weights = {KEYS[name]: each.detach().cpu() for name, each in self.state_dict().items()}
        save_file(weights, folder / VALUE_HEAD)


def attach(model: Any, folder: Path, *, random: bool) -> Any:
    """The model with a head that learns: that of its folder, else a new one.

    A new one gives 0 everywhere, or (`random`) numbers of about the size of 1, as Stiennon et al.,
    arXiv:2009.01325 begin a reward model.
    """
    head = new(model)
    torch.nn.init.normal_(head.weight, std=head.in_features**-0.5 if random else 0.0)
    torch.nn.init.zeros_(head.bias)
    if (folder / VALUE_HEAD).is_file():
        head.read(folder, "model_name_or_path")
    setattr(model, ATTRIBUTE, head)
    return model


def new(model: Any) -> ValueHead:
    """A head that fits the model, on its device."""
    hidden = getattr(model.get_output_embeddings(), "in_features", 0)
    head = ValueHead(hidden or model.config.get_text_config().hidden_size)
    return head.to(model.get_input_embeddings().weight.device)


def read(model: Any, folder: Path, field: str) -> ValueHead:
    """The head that lies in a folder, on the model's device, for reading alone; see ValueHead."""
    head = new(model)
    head.read(folder, field)
    return head.requires_grad_(requires_grad=False)


def of(model: Any) -> ValueHead | None:
    """The head of a model, wrapped or not, where it has one."""
    found = getattr(model, "module", model)._modules.get(ATTRIBUTE)
    return found if isinstance(found, ValueHead) else None


@contextmanager
def apart(model: Any) -> Iterator[ValueHead | None]:
    """Within, the model is without its head, so that it is saved as any other."""
    head = model._modules.pop(ATTRIBUTE, None)
    try:
        yield head
    finally:
        if head is not None:
            setattr(model, ATTRIBUTE, head)


def without(state_dict: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """Gathered weights without those of the head."""
    if state_dict is None:
        return None
    return {name: each for name, each in state_dict.items() if not name.startswith(ATTRIBUTE + ".")}


def restore(model: Any, folder: Path) -> None:
    """Put back the head that a checkpoint holds, where the model has one."""
    head = of(model)
    if head is not None:
        head.read(folder, "resume_from_checkpoint")


@contextmanager
def seen(model: Any, places: Tensor, *, logits: bool = True) -> Iterator[list[Tensor]]:
    """Within, each forward pass leaves the hidden states at `places` in the list, in row order.

    places  bool [rows, length]; the states are [n, hidden], as the output layer gets them
    logits  False spares the product with the vocabulary: the output layer gets nothing
    """
    found: list[Tensor] = []

    def look(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = given[0]
        found.append(states[places])
        return given if logits else (states[:, :0], *given[1:])

    layer = getattr(model, "module", model).get_output_embeddings()
    hook = layer.register_forward_pre_hook(look)
    try:
        yield found
    finally:
        hook.remove()


def at_ends(model: Any, head: ValueHead, ids: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
    """The value at one place of each row, float32 [rows].

    ids, mask  int64 [rows, length], the mask 1 where there is no padding
    ends       int64 [rows], the place in each row: what comes after it does not count
    """
    places = torch.arange(ids.shape[1], device=ids.device) == ends[:, None]
    with seen(model, places, logits=False) as states:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    return head(states[0])
