"""A trainer of trl as the trainer of a run: its data, report, stop, checkpoints and exact resume.

A stage derives from TrlRun and from a trainer of trl, in this order. trl's class computes what is
learned; how a run lives is RunTrainer's. What trl keeps in memory only goes into the checkpoint,
so that a run is resumed exactly also between two steps on the same answers. The private names of
trl that are read or overridden here stand in tests/contract/test_trl_names.py.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase, TrainingArguments

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.runs.position import Cut
from backend.data import templates
from backend.model import generation
from backend.model.reference import Reference
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.training.batches import Repeated
from backend.training.trainer import RunTrainer

PRIME = 1_000_003  # keeps the draws of neighboring seeds apart
NOT_LOGGED = ("num_tokens", "step_time")  # the record has tokens and times of its own
OPEN = ("_step", "_buffered_inputs")  # what a generation under way is learned from


class TrlRun(RunTrainer):
    """The run's half of a trainer: a stage derives from it and from a trainer of trl.

    config       trl's dataclass of arguments; `settings` gives what it takes beyond those of every
                 training
    steps_named  the argument of ours that says how many steps learn from the same answers
    in_generations  whether trl draws once for a whole step, else with each of its batches
    """

    config: ClassVar[type[Any]]
    steps_named: ClassVar[ArgumentName | None] = None
    in_generations: ClassVar[bool] = True
    processing_class: Any
    # Of the trainer of trl that stands behind this class.
    generation_config: GenerationConfig
    generation_kwargs: dict[str, Any]
    _tokenizer: PreTrainedTokenizerBase
    _metrics: dict[str, Any]

    def __init__(self, values: Arguments, report: Report, **kwargs: Any) -> None:
        model = kwargs["model"]
        for name in ("train_dataset", "eval_dataset"):
            kwargs[name] = self.rows(kwargs[name])
        learned = {n: each.data for n, each in model.named_parameters() if each.requires_grad}
        super().__init__(values=values, report=report, **kwargs, **self.parts(values, model))
        for name, each in self.model.named_parameters():
            if name in learned and each.dtype != learned[name].dtype:  # trl casts those of QLoRA
                each.data = learned[name].to(each.device)
        if isinstance(self.model, PeftModel) and "ref" in self.model.peft_config:
            self.model.delete_adapter("ref")  # ours needs no copy of a new adapter
        template = templates.load(values, self.processing_class)
        self.ends = generation.end_ids(self.model, self.processing_class, template.stop_ids)
        self.context = generation.context_length(self.model)
        self.eos_token_ids = list(self.ends)
        self.generation_kwargs["eos_token_id"] = self.eos_token_ids
        self.generation_config.eos_token_id = self.eos_token_ids
        self.processing_class = TokenIds(self.processing_class)
        base = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        base.register_forward_pre_hook(self._obey_stop)
        self._place = (-1, 0)  # the step, and which of its batches is next
        self._before: dict[str, Any] = {}

    # What a stage gives

    @classmethod
    def settings(cls, values: Arguments) -> dict[str, Any]:
        """The arguments of trl's own that `values` stand for."""
        raise NotImplementedError

    def parts(self, _values: Arguments, _model: Any) -> dict[str, Any]:
        """What trl's trainer is made of beyond model, data and tokenizer."""
        return {}

    def rows(self, dataset: Any) -> Any:
        """Rows with the columns that trl's trainer reads; prompts are token ids."""
        return dataset.rename_column("input_ids", "prompt") if dataset is not None else None

    @classmethod
    def copies(cls, _values: Arguments) -> int:
        """How many answers each question gets; a batch counts questions."""
        return 1

    def set_reference(self, beta: float) -> None:
        """Hold the policy near its start by `beta`; called after trl's own set-up, which would load
        the start from disk a second time."""
        self.beta = beta
        if beta:
            self.ref_model = ReferenceModel()
            self.ref_model.ask = Reference(self.model, self.values, len(self._tokenizer)).model

    # Arguments and data

    @classmethod
    def training_arguments(cls, values: Arguments, options: dict[str, Any]) -> TrainingArguments:
        """trl's arguments, in which a batch counts answers."""
        batch = options["per_device_train_batch_size"] * cls.copies(values)
        own = {"per_device_train_batch_size": batch, "gradient_checkpointing": None}
        args: TrainingArguments = cls.config(**{**options, **own, **cls.settings(values)})
        return args

    def collator(self, _tokenizer: Any) -> Any:
        """trl's own."""
        return None

    @property
    def _passes(self) -> int:
        """Steps that learn from the same answers."""
        return int(self.values[self.steps_named] or 1) if self.steps_named else 1

    @property
    def _cut(self) -> Cut:
        """How questions are cut into batches."""
        batch = self.args.train_batch_size // self.copies(self.values) * self.args.world_size
        return Cut(batch, self.args.gradient_accumulation_steps)

    def _random_order(self, data: Any) -> Any:
        return self._order("random", data)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The run's own order, each stretch repeated as trl's data loader wants it: it asks for the
        whole stretch with each batch, and draws with the first."""
        order = super()._get_train_sampler(train_dataset)
        if not self.in_generations:
            return order
        stretch = self._cut.batch * self._cut.accumulation
        times = self._cut.accumulation * self._passes
        return Repeated(order, stretch, times, self.copies(self.values))

    def _rows_of(self, order: Any) -> int:
        each = self.copies(self.values) * self._cut.accumulation
        return len(order) // each if self.in_generations else len(order)

    # A step, a stop and a checkpoint

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's; what a stop within the step goes back to is kept."""
        self._before = {**self.round_state(), "_tr_loss": self._tr_loss.clone()}
        self._before |= {"tokens": self.state.num_input_tokens_seen, "own": self.means.state()}
        return super().get_batch_samples(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """As trl's; what is drawn depends on seed, step, batch and process, on nothing before."""
        step, batch = self._place
        step, batch = (step, batch) if step == self.state.global_step else (step, 0)
        step = self.state.global_step
        self._place = (step, batch + 1)
        with self._seed_draws(step * self.args.gradient_accumulation_steps + batch + 1):
            loss: Tensor = super().training_step(*args, **kwargs)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As RunTrainer's; answers are drawn alike each time."""
        with self._seed_draws(0):
            return super().evaluate(*args, **kwargs)

    @contextmanager
    def _seed_draws(self, place: int) -> Iterator[None]:
        """Within, what is drawn depends on seed, place and process only."""
        with torch.random.fork_rng():
            number = place * self.args.world_size + self.args.process_index
            torch.manual_seed(self.args.seed * PRIME + number)
            yield

    def _obey_stop(self, *_: Any) -> None:
        """Before each pass through the model: while answers are drawn, a stop ends it at once.

        In a group, each process answers to the end: the others wait for it.
        """
        drawing = not torch.is_grad_enabled() and self.args.world_size == 1
        if drawing and self.report.stop_requested():
            raise Stopped

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """As RunTrainer's; a stop within a step saves what was learned before it."""
        try:
            super()._run_epoch(*args, **kwargs)
        except Stopped:
            self.model.zero_grad()
            self._tr_loss = self._before.pop("_tr_loss")
            self.state.num_input_tokens_seen = self._before.pop("tokens")
            self.means.restore(self._before.pop("own"))
            self.restore_round(self._before)
            self.report_callback.stopped = self.control.should_training_stop = True
            self._save_checkpoint(self.model, kwargs["trial"])

    def round_state(self) -> dict[str, Any]:
        """What trl keeps in memory only: present answers, and metrics that are not logged yet."""
        return {
            **{name: getattr(self, name) for name in OPEN if hasattr(self, name)},
            "figures": {name: list(each) for name, each in self.open_metrics().items()},
        }

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on within a round from the state that `round_state` gave."""
        for name in OPEN:
            if name in state:
                setattr(self, name, state[name])
        metrics = self.open_metrics()
        metrics.clear()
        metrics.update({name: list(each) for name, each in state["figures"].items()})

    def open_metrics(self) -> dict[str, list[float]]:
        """Metrics of the steps since the last logged row, by name, as trl's trainer keeps them."""
        metrics: dict[str, list[float]] = self._metrics["train"]
        return metrics

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        torch.save(self.round_state(), self._answers_file(Path(output_dir)))

    def _restore(self, path: Path) -> None:
        super()._restore(path)
        file = self._answers_file(path.parent)
        if file.is_file():
            self.restore_round(torch.load(file, map_location=self.args.device, weights_only=True))

    def _answers_file(self, folder: Path) -> Path:
        return folder / f"answers_{self.args.process_index}.pt"

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        """As trl's, no longer than the model's context has room for."""
        prompts = next(each for each in args if isinstance(each, list))
        most = self.values.max_new_tokens
        if self.context is not None:
            most = max(1, min(most, self.context - max(map(len, prompts))))
        self.generation_config.max_new_tokens = most
        return super()._generate(*args, **kwargs)  # type: ignore[misc]  # trl's, behind this class

    # Metrics

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As trl's, without metrics that the record has otherwise."""
        for metrics in self._metrics.values():
            for name in NOT_LOGGED:
                metrics.pop(name, None)
        super().log(logs, *args, **kwargs)

    def text(self, answer: list[int]) -> str:
        """An answer as text, without its end token."""
        ids = answer[:-1] if answer and answer[-1] in self.ends else answer
        text: str = self.processing_class.decode(ids, skip_special_tokens=True)
        return text

    def _track_num_input_tokens(self, inputs: Any) -> None:
        """trl's trainers count the tokens that they draw."""

    def floating_point_ops(self, _inputs: Any) -> int:
        """Not counted: the Trainer's estimate knows nothing of drawing answers."""
        return 0

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The run has its own."""

    def _send_telemetry(self) -> None:
        """Nothing about a run leaves the machine."""


class TokenIds:
    """A tokenizer that takes prompts as the ids that the run's template made of them."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, text: list[list[int]], padding: bool = False, **_: Any) -> Any:
        """Ids as they are, or as int64 tensors [prompts, longest], padded on the left."""
        rows = {"input_ids": [list(ids) for ids in text]}
        if not padding:
            return rows
        return self.tokenizer.pad(rows, padding=True, padding_side="left", return_tensors="pt")


class ReferenceModel(torch.nn.Module):
    """The start of a run as the model that trl asks; it has no weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.ask: Callable[[], AbstractContextManager[Any]] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the reference answers, without gradient."""
        assert self.ask is not None
        with self.ask() as model:
            return model(*args, **kwargs)
