"""KTO: learning from answers that were each judged good or bad (arXiv 2402.01306).

The reference point, the KL divergence of policy and reference, is estimated over the mismatched
answers of a whole step, so that even batches of one row give an estimate over many.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.model.reference import Reference, evaluation_mode
from backend.training import preference
from backend.training.callback import MetricMeans
from backend.training.preference import JudgedCollator, RowMeanTrainer
from backend.training.reference_logps import ReferenceLogps


class JudgedMeans(MetricMeans):
    """Metrics whose margin is that of the means, since good and bad answers come one by one."""

    def take(self, accelerator: Any, prefix: str = "") -> dict[str, float]:
        """The means, the margin of the rewards, and how many answers of each kind there were."""
        counts = {side: self.sums.get(f"rewards/{side}") for side in preference.SIDES}
        means = super().take(accelerator, prefix)
        for side, row in counts.items():
            count = torch.tensor([0.0 if row is None else row[1]], device=accelerator.device)
            means[f"{prefix}count/{side}"] = accelerator.gather(count).sum().item()
        chosen, rejected = (means.get(f"{prefix}rewards/{side}") for side in preference.SIDES)
        if chosen is not None and rejected is not None:
            means[f"{prefix}rewards/margins"] = chosen - rejected
        return means


class KtoTrainer(RowMeanTrainer):
    """Compares each answer with the reference point; good and bad answers have own weights."""

    def __init__(self, values: Arguments, **kwargs: Any) -> None:
        super().__init__(values=values, **kwargs)
        self.means, self.eval_means = JudgedMeans(), JudgedMeans()
        self.beta = self.values.pref_beta
        model = Reference(self.model, self.values, len(self.processing_class))
        self.reference = ReferenceLogps(model, self.values)

    def collator(self, tokenizer: Any) -> JudgedCollator:
        """A collator of answers and of the mismatched answers of the same batch."""
        return JudgedCollator(tokenizer.pad_token_id or 0)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], Any]:
        """The Trainer's batches of a step, each with the reference point of the whole step."""
        batches, rows = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            point = self._divergence(batches)
            batches = [{**batch, "point": point} for batch in batches]
        return batches, rows

    def row_losses(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """One loss for each answer, [answers]; notes the metrics of these answers."""
        point = inputs["point"] if "point" in inputs else self._divergence([inputs])
        desirable = inputs["desirable"]
        before = self.reference.token_logps(inputs).sum(1)
        logps = preference.token_logps(model, inputs).sum(1)
        rewards = self.beta * (logps - before)
        good, bad = self.values.kto_chosen_weight, self.values.kto_rejected_weight
        losses = preference.kto_loss(rewards, desirable, self.beta * point)
        losses = losses * torch.where(desirable, good, bad)
        self._note(rewards, logps, desirable, point)
        weight = self.values.pref_ftx
        if weight:
            learning = -logps / preference.label_mask(inputs["labels"]).sum(1)
            self.note("sft_loss", learning, desirable)
            losses = losses + weight * learning * desirable
        return losses

    def _divergence(self, batches: Sequence[Mapping[str, Any]]) -> Tensor:
        """KL(policy || reference), at least 0: the mean log-ratio of the mismatched answers."""
        ratios = torch.cat([self._ratios(self._prepare_inputs(batch["kl"])) for batch in batches])
        row = torch.stack([ratios.sum(), torch.tensor(float(len(ratios))).to(ratios)])
        total, count = self.accelerator.gather(row[None]).sum(0)
        return (total / count).clamp(min=0)

    def _ratios(self, inputs: Mapping[str, Any]) -> Tensor:
        with evaluation_mode(self.model):
            now = preference.token_logps(self.model, inputs).sum(1)
        return now - self.reference.token_logps(inputs).sum(1)

    def _note(self, rewards: Tensor, logps: Tensor, desirable: Tensor, point: Tensor) -> None:
        self.note("kl", point.repeat(len(rewards)))
        for side, which in zip(preference.SIDES, (desirable, ~desirable), strict=True):
            self.note(f"rewards/{side}", rewards, which)
            self.note(f"logps/{side}", logps, which)
