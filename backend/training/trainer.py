"""transformers' Trainer with what every stage needs: a run folder, whole checkpoints."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback

from backend.contract.arguments.typed import Arguments
from backend.contract.runs import position, run_folder
from backend.contract.system.files import make_readable
from backend.model import adapters, optimizers, saved_weights, value_head
from backend.model.side_files import SideFiles
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.training import checkpoints, tracking
from backend.training.batches import Collator
from backend.training.callback import MetricMeans, ReportCallback
from backend.training.resuming import ResumingTrainer


class RunTrainer(ResumingTrainer):
    """A Trainer that writes a run folder; each stage derives from it.

    A stage may override `prepare_model`, `collator` and `extra_files`, and calls `note` for the
    metrics of its own that belong into metrics.jsonl. The metric "loss" of an evaluation takes the
    place of the Trainer's, which is a mean over batches, however many tokens or rows each has.
    """

    def __init__(
        self, values: Arguments, report: Report, side_files: SideFiles, **kwargs: Any
    ) -> None:
        self.values = values
        self.report = report
        self.side_files = side_files
        self.report_callback = ReportCallback(report)
        callbacks = [self.report_callback, *tracking.callbacks(values, report.folder)]
        patience = values.early_stopping_steps
        if patience and kwargs["args"].eval_strategy != "no":
            callbacks.append(EarlyStoppingCallback(int(patience)))
        callbacks += adapters.callbacks(kwargs["model"])
        tokenizer = kwargs["processing_class"]
        self.means, self.eval_means = MetricMeans(), MetricMeans()
        collator = self.collator(tokenizer)
        if collator is not None:
            kwargs["data_collator"] = collator
        super().__init__(callbacks=callbacks, **kwargs)
        self.remove_callback(PrinterCallback)
        self.checkpoint_bytes = checkpoints.estimate(
            self.model, values, only_model=self.args.save_only_model
        )

    @classmethod
    def check(cls, _values: Arguments) -> None:
        """Raise UsageError for what only the stage can judge, before data and model are loaded."""

    @classmethod
    def training_arguments(cls, _values: Arguments, options: dict[str, Any]) -> TrainingArguments:
        """The library's arguments of the stage; `options` are those of every training."""
        return TrainingArguments(**options)

    @classmethod
    def prepare_model(cls, model: Any, _values: Arguments) -> Any:
        """The model as the stage needs it (a value head, a reference); before the Trainer."""
        return model

    def collator(self, tokenizer: Any) -> Any:
        """What makes a batch of rows; None where the trainer has its own."""
        return Collator(tokenizer.pad_token_id or 0)

    def extra_files(self, _folder: Path) -> None:
        """Write what lies beside the model's own files in a checkpoint and in the run folder."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        assert self.args.output_dir is not None
        return Path(self.args.output_dir)

    def own_rows(self, rows: int) -> int:
        """How many rows of a batch do not just fill up a group's last batch a second time."""
        state = self.accelerator.gradient_state
        if self.args.world_size == 1 or not state.end_of_dataloader or state.remainder <= 0:
            return rows
        return max(0, int(state.remainder) - self.args.process_index * rows)

    def note(self, name: str, values: torch.Tensor) -> None:
        """Add to the mean of a metric in the next logged row (or evaluation)."""
        (self.means if self.model.training else self.eval_means).note(name, values)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As the Trainer's, with the noted metrics in the row of a loss or of an evaluation."""
        if "loss" in logs:
            logs = {**logs, **self.means.take(self.accelerator)}
        elif "eval_loss" in logs:  # in place: metric_for_best_model looks among them
            logs |= self.eval_means.take(self.accelerator, "eval_")
        super().log(logs, *args, **kwargs)

    def run(self, checkpoint: Path | None) -> None:
        """Train to the end, or until a stop; from `checkpoint` where one is given.

        Raises DiskFullError before the first step where not even one checkpoint has room.
        """
        folder = self.folder
        checkpoints.require_room(folder, self.checkpoint_bytes)
        self.report.cut_metrics(checkpoints.step_of(checkpoint) if checkpoint else -1)
        self.args.eval_on_start &= checkpoint is None
        self.checkpoint = checkpoint
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        optimizers.finish(self.optimizer)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """What is no optimizer of transformers' own, else what the arguments name."""
        if self.optimizer is None:
            self.optimizer = optimizers.build_special(self.model, self.args, self.values)
        return super().create_optimizer(model)

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        """Tokens without padding."""
        count = torch.tensor(inputs["tokens"], device=self.args.device)
        self.state.num_input_tokens_seen += int(self.accelerator.gather(count).sum())

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the Trainer's, but the random state stays: training goes on as if not evaluated."""
        self.report.phase("evaluating")
        self.eval_means.restore({})  # an evaluation that a stop broke off has left its own
        with torch.random.fork_rng():
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        self.report.phase("training")
        return metrics

    def _evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the Trainer's; a stop meanwhile ends it without metrics, and the run is saved."""
        try:
            metrics: dict[str, float] = super()._evaluate(*args, **kwargs)
        except Stopped:
            self.control.should_evaluate = False
            self.report_callback.stop(self.control)
            return {}
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        return bool(metrics) and bool(super()._determine_best_metric(metrics, trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Room first, manifest last; only then do older checkpoints go. Raises DiskFullError."""
        folder = self.folder
        target = folder / f"checkpoint-{self.state.global_step}"
        self.report.phase("saving")
        with checkpoints.guard_room(folder, self.checkpoint_bytes, torn=target):
            (target / run_folder.MANIFEST).unlink(missing_ok=True)
            super()._save_checkpoint(model, trial)
            progress = self.progress()
            self.accelerator.wait_for_everyone()  # each process writes its random state
            if self.args.should_save:
                position.write(target, progress)
                checkpoints.sync(target)
                run_folder.write_manifest(target)
        if self.args.should_save:
            self.checkpoint_bytes = checkpoints.size(target)
            keep = self.values.save_total_limit
            checkpoints.rotate(
                folder, int(keep) if keep else None, self.state.best_model_checkpoint
            )
        self.report.phase("training")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Model and tokenizer, without the Trainer's training_args.bin: a pickle nobody needs."""
        if self.args.should_save:
            folder = Path(output_dir) if output_dir else self.folder
            model, run = self.accelerator.unwrap_model(self.model), self.folder
            adapters.save(model, folder, self.values, run, state_dict)
            self.side_files.write(folder, whole=not hasattr(model, "peft_config"))
            self.extra_files(folder)
            make_readable(folder.glob("*.safetensors"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        inner = self.accelerator.unwrap_model(model or self.model)
        if not self._read(inner, Path(resume_from_checkpoint)):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        value_head.restore(inner, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        inner = self.accelerator.unwrap_model(self.model)
        if not self._read(inner, Path(self.state.best_model_checkpoint or "")):
            super()._load_best_model()
        value_head.restore(inner, Path(self.state.best_model_checkpoint or ""))

    def _read(self, model: Any, checkpoint: Path) -> bool:
        """Read a derived adapter or a full model; False for what the Trainer itself reads right.

        Of a full model it would pass over tensors whose names in the file are not those in the
        model, with no more than a warning.
        """
        if saved_weights.read_trainable(model, checkpoint):
            return True
        if hasattr(model, "peft_config") or self.is_deepspeed_enabled:
            return False
        saved_weights.read(model, checkpoint)
        return True

    def gather_weights(self) -> Any:
        """All weights where DeepSpeed has spread them over a group, else None; asked by each."""
        if not self.is_deepspeed_enabled:
            return None
        return self.accelerator.get_state_dict(self.deepspeed)
