"""AdaLoRA's work in each training step: the budget of ranks, and the orthogonality penalty.

Zhang et al., "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", 2023.
"""

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class AdaLoraCallback(TrainerCallback):
    """Cuts ranks step by step, except in the first tenth and the last third of a run."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the schedule of the budget, now that the number of steps is known."""
        del args, control
        config = _config(kwargs["model"])
        total = state.max_steps
        config.total_step = total
        config.tinit, config.tfinal = total // 10, (total + 1) // 3

    def on_pre_optimizer_step(
        self,
        *_: Any,
        **kwargs: Any,
    ) -> None:
        """Add the gradient of the penalty, so that the logged loss is that of the data alone.

        orth_reg_weight times the mean of |P P^T - I| over the factors P (Frobenius norm).
        """
        model = kwargs["model"]
        with torch.enable_grad():
            norms = [
                _distance(name, each) for name, each in model.named_parameters() if _is_factor(name)
            ]
            penalty = _config(model).orth_reg_weight * torch.stack(norms).mean()
            penalty.backward()

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Score the weights and cut ranks, between the optimizer's step and the next gradients."""
        del args, control
        model, config = kwargs["model"], _config(kwargs["model"])
        final = config.total_step - config.tfinal
        scored = bool(model.base_model.rankallocator.ipt)
        if state.global_step < final or (state.global_step == final and scored):
            model.base_model.update_and_allocate(state.global_step)
        elif config.rank_pattern:
            model.base_model.rankallocator.mask_using_rank_pattern(
                model.base_model.model, config.rank_pattern
            )


def _config(model: Any) -> Any:
    return model.peft_config["default"]


def _is_factor(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _distance(name: str, factor: torch.Tensor) -> torch.Tensor:
    """The Frobenius norm of P P^T - I for the rows of A, or the columns of B."""
    product = factor @ factor.T if ".lora_A." in name else factor.T @ factor
    return torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device))
