"""The main path of a training run: data -> model -> stage -> train -> save."""

import json
import math
from pathlib import Path
from typing import Any

from transformers import set_seed

from backend.contract.arguments.typed import Arguments
from backend.contract.runs import metrics, run_folder
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import Problem
from backend.data import prepare, templates
from backend.estimate import checkpointing
from backend.export import model_card, publishing
from backend.model import adapters, load, reference, vocabulary
from backend.model.side_files import SideFiles
from backend.running import plots
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.stages.table import stage_trainer
from backend.training import arguments, checkpoints, precision, resuming, scoring
from backend.training.callback import memory, stage_metrics
from backend.training.timing import Timing


def run(values: Arguments, folder: Path) -> None:
    """Train as `values` say; the result lies in `folder`.

    Raises TuneboardError for what the person can act on, and Stopped after a stop that was asked
    (checkpoint and model are saved then, too).
    """
    report = Report(folder)
    trainer, checkpoint, evaluated = make_trainer(values, folder, report)
    timing = Timing.begin(trainer, evaluated)
    trainer.run(checkpoint)
    timing.keep(folder.name)
    save(trainer, folder)
    trainer.accelerator.wait_for_everyone()  # the first process to leave ends the others
    if trainer.report_callback.stopped:
        raise Stopped
    if values.push_to_hub and report.writes:
        _push(values, folder, report)


def make_trainer(values: Arguments, folder: Path, report: Report) -> tuple[Any, Path | None, int]:
    """The trainer of the stage with model and data, before its first step; the checkpoint that it
    goes on from; and the number of rows of an evaluation. Raises TuneboardError."""
    report.phase("loading")
    checkpoint = checkpoints.choose(folder, values.resume_from_checkpoint, report)
    stage = stage_trainer(values.stage)
    stage.check(values)
    load.base_architecture(values)  # what cannot be trained whole is refused before data is read
    for notice in _base_notices(values):
        report.notice(notice)
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    report.phase("tokenizing")
    resolved = values.replace(template=template.name)
    prepared = prepare.prepare_training(resolved, tokenizer, template, report)
    assert prepared.train is not None
    size = arguments.epoch_size(values, prepared.sizes()[0])
    place = resuming.resume_position(checkpoint, values, size, prepared.key, report)
    total = place.total if place else 0
    open_values, values = values, precision.settle(values, checkpoint, report)
    values = checkpointing.settle(values, prepared.train, checkpoint)
    made = stage.training_arguments
    args = arguments.build(values, folder, prepared.sizes(), report, total, made)
    arguments.assert_group(args)
    report.phase("loading")
    set_seed(args.seed)
    rows = vocabulary.rows_needed(tokenizer.get_vocab())
    model = load.model(values, training=True, vocabulary=rows)
    arguments.fit_model(args, model, report)
    for notice in load.frozen_notices(model) + vocabulary.missing_row_notices(model, tokenizer):
        report.notice(notice)
    if report.writes:
        adapters.keep_start(model, folder, values)
    trainer = stage(
        values=values.replace(template=template.name),
        report=report,
        side_files=SideFiles.of(values, tokenizer, template.name, template.answer_ends),
        model=stage.prepare_model(model, values),
        args=args,
        processing_class=tokenizer,
        train_dataset=prepared.train,
        eval_dataset=prepared.evaluation,
        place=place,
        data_key=prepared.key,
        arguments=open_values,
    )
    return trainer, checkpoint, prepared.sizes()[1]


def _base_notices(values: Arguments) -> list[Problem]:
    """Adapters of the policy, the reference or the reward model that meet another base."""
    policy = load.base_notices(values)
    return policy + reference.base_notices(values) + scoring.base_notices(values)


def save(trainer: Any, folder: Path) -> None:
    """The final model in the folder's root, with metrics, picture and model card."""
    trainer.report.phase("saving")
    weights = trainer.gather_weights()
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    with checkpoints.guard_room(
        folder, checkpoints.estimate(model, trainer.values, only_model=True)
    ):
        adapters.save(model, folder, trainer.values, folder, weights)
        trainer.side_files.write(folder, whole=not hasattr(model, "peft_config"))
        trainer.extra_files(folder)
    results = final_metrics(trainer)
    write_atomic(folder / run_folder.RESULTS, json.dumps(results, indent=2))
    rows, _ = metrics.read(folder / run_folder.METRICS, 0)
    if trainer.values.plot_loss:
        plots.draw_loss(rows, folder / plots.NAME)
    name = model_card.public_name(load.base_name(trainer.values))
    base = model_card.Base(name, load.base_folder(trainer.values))
    model_card.write_run_card(folder, trainer.values, results, base)


def _push(values: Arguments, folder: Path, report: Report) -> None:
    """The finished model to the hub. Raises TuneboardError where the hub does not take it."""
    report.phase("uploading")
    name, private = values.hub_model_id or folder.name, values.hub_private_repo
    place = publishing.push(
        folder,
        str(name),
        "push_to_hub",
        private=None if private is None else bool(private),
        revision=str(values.hub_revision) if values.hub_revision else None,
    )
    report.notice(Problem(code="hub_pushed", params={"name": place}, notice=True))


def final_metrics(trainer: Any) -> dict[str, float]:
    """What all_results.json says: losses, time in seconds, tokens, sizes."""
    state, seconds = trainer.state, trainer.report_callback.seconds()
    learned, total = adapters.parameter_counts(trainer.model)
    results: dict[str, float] = {
        "steps": state.global_step,
        "epoch": state.epoch or 0.0,
        "train_loss": trainer._total_loss_scalar / max(state.global_step, 1),
        "train_runtime": seconds,
        "tokens": state.num_input_tokens_seen,
        "tokens_per_second": state.num_input_tokens_seen / max(seconds, 1e-9),
        "learned_parameters": learned,
        "all_parameters": total,
        "memory": memory(),
    }
    if hasattr(trainer.train_dataset, "__len__"):  # a stream has no number of rows
        results["train_rows"] = len(trainer.train_dataset)
    evaluated = [row for row in state.log_history if "eval_loss" in row]
    best = [row for row in evaluated if row["step"] == state.best_global_step]
    evaluations = best if trainer.args.load_best_model_at_end and best else evaluated
    if evaluations:
        results["eval_loss"] = evaluations[-1]["eval_loss"]
        if trainer.values.stage in adapters.PREDICTING:
            results["perplexity"] = math.exp(min(evaluations[-1]["eval_loss"], 700.0))
    logged = [row for row in state.log_history if "loss" in row]
    results |= stage_metrics({**(logged or [{}])[-1], **(evaluations or [{}])[-1]})
    for name in ("train_loss", "eval_loss", "perplexity"):
        if name in results and not math.isfinite(results[name]):
            trainer.report.notice(
                Problem(code="metric_not_finite", params={"name": name}, notice=True)
            )
            del results[name]
    return results
