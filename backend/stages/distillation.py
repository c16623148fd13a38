"""Distillation: a student is brought to its teacher's distribution, by trl's trainer.

Agarwal et al., "On-Policy Distillation of Language Models" (GKD), arXiv:2306.13649. A share of the
steps learns from answers that the student draws, the others from the answers of the data.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import TrainingArguments
from trl.experimental.server_distillation.server_distillation_config import (
    ServerDistillationConfig,
)
from trl.experimental.server_distillation.server_distillation_trainer import (
    ServerDistillationTrainer,
)
from trl.trainer.distillation_config import DistillationConfig
from trl.trainer.distillation_trainer import DistillationTrainer

from backend.contract.arguments.typed import Arguments
from backend.training import teachers
from backend.training.batches import IGNORED
from backend.training.trl_run import TrlRun


class ModelOrServerTeacher(ServerDistillationTrainer):
    """Joins trl's two trainers: the teacher is a model, or a server that names likely tokens."""

    def __init__(self, args: Any, teacher_model: Any = None, **kwargs: Any) -> None:
        # ServerDistillationTrainer.__init__ would ask for a vLLM server that trl has started
        DistillationTrainer.__init__(self, args=args, teacher_model=teacher_model, **kwargs)
        self.reverse_kl_top_1_mode = "sampled"
        self.loss_top_k = getattr(args, "loss_top_k", 0)
        self.loss_add_tail = True  # what the server does not name is one more token

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The divergence of a batch (scalar)."""
        kind = ServerDistillationTrainer if self.teacher_model is None else DistillationTrainer
        return kind.compute_loss(self, model, inputs, *args, **kwargs)


class DistillationStage(TrlRun, ModelOrServerTeacher):
    """Learns from the last answer of each row; in an evaluation always from that of the data."""

    config = DistillationConfig
    teacher_client: Any

    def __init__(self, values: Arguments, **kwargs: Any) -> None:
        super().__init__(values=values, **kwargs)
        self.share = values.lmbda
        self.answers: list[list[int]] = []
        self.student_rows = teachers.count_rows(self.accelerator.unwrap_model(self.model))
        self.common_rows = self.student_rows
        if values.teacher_server:
            tokenizer = self._tokenizer
            self.teacher_client = teachers.TeacherServer(values, tokenizer, self.student_rows)
        else:
            self.common_rows = teachers.count_rows(self.teacher_model)
        if self.common_rows < self.student_rows:  # the teacher cannot read what it has no row for
            beyond = list(range(self.common_rows, self.student_rows))
            self.generation_config.suppress_tokens = beyond
            self.generation_kwargs["suppress_tokens"] = beyond

    @classmethod
    def check(cls, values: Arguments) -> None:
        """Raises TuneboardError where teacher and student do not share a vocabulary, or a server
        does not teach."""
        teachers.require_vocabulary(values)
        teachers.require_server(values)

    @classmethod
    def training_arguments(cls, values: Arguments, common: dict[str, Any]) -> TrainingArguments:
        """Build trl's arguments; with the address of the server where one is the teacher."""
        if not values.teacher_server:
            return super().training_arguments(values, common)
        beta = values.distillation_beta
        top = values.teacher_top_k if beta == 0 else 1
        own = {"teacher_model_server_url": str(values.teacher_server), "loss_top_k": top}
        args: TrainingArguments = ServerDistillationConfig(
            **{**common, "gradient_checkpointing": None, **cls.settings(values), **own}
        )
        return args

    @classmethod
    def settings(cls, values: Arguments) -> dict[str, Any]:
        """The arguments of DistillationConfig that `values` stand for."""
        return {
            "beta": values.distillation_beta,
            "max_completion_length": values.max_new_tokens,
            "temperature": values.temperature,
            "top_p": values.top_p,
            "top_k": values.top_k,
            "repetition_penalty": values.repetition_penalty,
        }

    def parts(self, values: Arguments, model: Any) -> dict[str, Any]:
        """The teacher, where it is a model."""
        return {"teacher_model": teachers.load(values, model) if values.teacher_model else None}

    def rows(self, dataset: Any) -> Any:
        """Rows as a prompt and the last answer, both token ids."""
        return dataset.with_transform(_to_prompts_and_answers) if dataset is not None else None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self.answers = [list(row["answer"]) for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the student's own answers in a share of the steps, else take those of the data."""
        own = self.model.training and torch.rand(()).item() < self.share
        return super()._generate_single_turn(*args, **kwargs) if own else self.answers

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The divergence of a batch (scalar); an evaluation weighs it by the number of tokens."""
        loss: Tensor = super().compute_loss(model, inputs, *args, **kwargs)
        if not self.model.training:
            tokens = int(inputs["completion_mask"].sum())
            for name in ("loss", "divergence"):
                self.note(name, loss.detach().expand(tokens))
        return loss

    def _compute_loss(self, unwrapped_student: Any, *args: Any, **kwargs: Any) -> Any:
        """The divergence over the rows of logits that teacher and student both have."""
        if self.common_rows == self.student_rows:
            return super()._compute_loss(unwrapped_student, *args, **kwargs)
        with teachers.first_rows(unwrapped_student, self.common_rows):
            return super()._compute_loss(unwrapped_student, *args, **kwargs)


def _to_prompts_and_answers(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Rows as trl reads them; a batch of other columns alone stays as it is."""
    if "labels" not in batch:
        return batch
    pairs = [
        _split_at_answer(*row) for row in zip(batch["input_ids"], batch["labels"], strict=True)
    ]
    prompts, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {"prompt": prompts, "answer": answers, "length": batch["length"]}


def _split_at_answer(ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
    """The tokens before the learned ones, and the learned ones themselves."""
    learned = [place for place, label in enumerate(labels) if label != IGNORED]
    return ids[: learned[0]], ids[learned[0] : learned[-1] + 1]
