"""The loss of each stage on tensors without data, by the functions that the stages call.

A real loss finds the learned tokens by their labels, which are data; here their number is known.
"""

from typing import Any

import torch
from torch import Tensor, nn

from backend.contract.arguments.typed import Arguments
from backend.estimate.workload import Workload
from backend.stages.dpo import WITHOUT_REFERENCE
from backend.training import rollouts, token_loss

HEADED = ("rm", "ppo")  # stages with a value head


def has_reference(values: Arguments) -> bool:
    """Whether the stage compares the model with what it was before training."""
    if values.stage == "dpo":
        return values.pref_loss not in WITHOUT_REFERENCE
    if values.stage == "grpo":
        return bool(values.grpo_beta)
    if values.stage == "sft":
        return bool(values.use_asft_loss and values.asft_alpha)
    return values.stage in {"kto", "ppo"}


def compute(model: Any, values: Arguments, work: Workload) -> Tensor:
    """The loss of a batch, a scalar; the output layer computes the learned tokens alone."""
    ids = torch.zeros(work.rows, work.length, dtype=torch.int64, device="meta")
    states: list[Tensor] = []

    def select(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        flat = inputs[0].flatten(0, 1)
        if values.stage in HEADED:
            states.append(flat.index_select(0, _places(work.learned or work.rows)))
        return (flat.index_select(0, _places(work.learned)), *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    finally:
        hook.remove()
    loss = _of_logits(outputs.logits, values) if work.learned else torch.zeros((), device="meta")
    for each in states:
        head = nn.Linear(each.shape[-1], 1, device="meta")
        loss = loss + head(each.float()).sum()
    return loss


def _places(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int64, device="meta")


def _of_logits(logits: Tensor, values: Arguments) -> Tensor:
    """The loss of logits [n, vocabulary], a scalar."""
    targets = _places(len(logits))
    if values.stage in {"ppo", "grpo"}:
        scaled = logits.float() / (values.temperature or 1.0)
        loss = rollouts.target_logprobs(scaled, targets).sum()
        if values.stage == "ppo":
            rollouts.entropies(scaled)
        return loss
    if values.stage in {"dpo", "kto"}:
        return token_loss.cross_entropy(logits, targets).sum()
    loss = token_loss.choose_loss(values)(logits, targets).sum()
    if has_reference(values):
        loss = loss + token_loss.kl(torch.empty_like(logits), logits).sum()
    return loss
