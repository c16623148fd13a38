"""transformers' TrainingArguments from our values: how long, how often, how precise; DeepSpeed.

DeepSpeed takes a config of the person's own, or one of ours by its stage of ZeRO: Rajbhandari et
al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020. Numbers that
follow from other arguments are "auto": transformers fills them in.
"""

import dataclasses
import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.utils.import_utils import is_torch_tf32_available

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.stages import GROUPED
from backend.contract.arguments.fields.training import ZERO
from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names
from backend.contract.runs.resuming import cut_of
from backend.contract.system import boundary
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import Problem
from backend.model import adapters, optimizers, schedules
from backend.model.device import device, training_precision
from backend.running.report import Report

NAME = "deepspeed.json"  # in the run folder: what was used


def arguments(values: Arguments, folder: Path, *, writes: bool) -> dict[str, Any]:
    """The TrainingArguments that DeepSpeed needs; none where it was not asked for.

    `writes` is whether this process keeps a copy of the config in the run's folder.
    """
    name = values.deepspeed or ""
    if not name:
        return {}
    config = _zero_config(name) if name in ZERO else _read_config(local(name))
    if writes:
        write_atomic(folder / NAME, json.dumps(config, indent=2))
    return {"deepspeed": config}


def _read_config(path: Path) -> dict[str, Any]:
    """The config in a person's file."""
    with open(path, "rb", opener=boundary.open_file) as file:
        config: dict[str, Any] = json.load(file)
    return config


def join() -> None:
    """Make the group known to DeepSpeed before the model is loaded: stage 3 spreads it at once."""
    import deepspeed

    deepspeed.init_distributed()


def _zero_config(name: str) -> dict[str, Any]:
    stage = int(name[0])
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
    }
    if stage == 3:
        zero |= {
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,  # else there is nothing to save
        }
    if name.endswith("_offload"):
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    auto = "auto"
    return {
        "train_batch_size": auto,
        "train_micro_batch_size_per_gpu": auto,
        "gradient_accumulation_steps": auto,
        "gradient_clipping": auto,
        "bf16": {"enabled": auto},
        "fp16": {"enabled": auto},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": zero,
    }


Make = Callable[[Arguments, dict[str, Any]], TrainingArguments]
POINTS = 10  # a curve has at least so many points where the run has so many steps
IN_GENERATIONS = ("rloo", "distillation")  # trl draws for whole steps: the last one is filled up
OF_LOADERS = ("dataloader_prefetch_factor", "dataloader_persistent_workers")
KNOWN = {field.name for field in dataclasses.fields(TrainingArguments)}

logger = logging.getLogger(__name__)


def build(
    values: Arguments,
    folder: Path,
    sizes: tuple[int, int],
    report: Report,
    total: int = 0,
    make: Make = lambda _, options: TrainingArguments(**options),
) -> TrainingArguments:
    """The arguments of a run over `sizes` = rows to train on, rows to evaluate on.

    `total` is the number of steps in all, where it does not follow from the values alone; `make`
    gives the stage's kind of arguments. What had to be changed (precision, workers, intervals) is
    said as a notice.
    """
    options: dict[str, Any] = {
        "data_seed": values.seed or 0,
        "per_device_eval_batch_size": FIELDS["per_device_eval_batch_size"].default,
    }
    options |= {
        FIELDS[name].to: value
        for name, value in values.as_mapping().items()
        if name in FIELDS and FIELDS[name].to in KNOWN and value is not None
    }
    total = total or total_steps(values, sizes[0])
    options |= optimizers.arguments(values)
    options |= _schedule(values, total, report)
    options |= _precision(values, report)
    options |= _intervals(values, total, sizes[1] > 0, report)
    options |= arguments(values, folder, writes=report.writes)
    options |= {
        "output_dir": str(folder),
        "run_name": values.run_name or folder.name,
        "seed": values.seed or 0,
        "max_steps": values.max_steps or -1,
        "warmup_steps": _warmup(values, total),
        "dataloader_num_workers": _workers(values, report),
        "activation_checkpointing": adapters.wants_checkpointing(values),
        "activation_checkpointing_kwargs": {"use_reentrant": values.use_reentrant_gc},
        "use_liger_kernel": values.enable_liger_kernel,
        "report_to": names(values.report_to) or ["none"],
        "use_cpu": device() == "cpu",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "restore_callback_states_from_checkpoint": True,
        "save_total_limit": None,  # old checkpoints go only after the new one is known to be whole
    }
    if values.streaming:  # each process takes its share of the rows, without sending them
        options["accelerator_config"] = {"dispatch_batches": False}
    for notice in adapters.notices(values):
        report.notice(notice)
    if values.use_reentrant_gc:  # DDP would see each parameter twice
        options["ddp_find_unused_parameters"] = False
    _drop_unusable(options, report)
    args = make(values, options)
    if args.n_gpu > 1:
        report.notice(Problem(code="one_gpu_used", params={"gpus": args.n_gpu}, notice=True))
        args._n_gpu = 1  # DataParallel is slower than one GPU and breaks gradient accumulation
    return args


def _drop_unusable(options: dict[str, Any], report: Report) -> None:
    """Take out, with a notice, what this machine or the other arguments leave no use for; torch and
    transformers would end the run."""
    unfit = {
        "tf32": "" if is_torch_tf32_available() else "tf32_not_here",
        "ddp_backend": "" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "one_process",
        **dict.fromkeys(OF_LOADERS, "" if options["dataloader_num_workers"] else "no_loaders"),
    }
    for name, code in unfit.items():
        if code and options.get(name):
            del options[name]
            report.notice(Problem(code=code, field=name, notice=True))


def fit_model(args: TrainingArguments, model: Any, report: Report) -> None:
    """Switch off, with a notice, what this architecture cannot do."""
    if args.activation_checkpointing and not model.supports_gradient_checkpointing:
        args.activation_checkpointing = args.gradient_checkpointing = False
        report.notice(
            Problem(
                code="checkpointing_unsupported",
                field="disable_gradient_checkpointing",
                params={"model": type(model).__name__},
                notice=True,
            )
        )


def total_steps(values: Arguments, rows: int, processes: int = 0) -> int:
    """How many optimizer steps a run takes that begins at the first of its rows.

    `processes` are those that train together; 0 stands for those that do so now.
    """
    if values.max_steps:
        return values.max_steps
    return max(1, math.ceil(values.num_train_epochs * steps_of_epoch(values, rows, processes)))


def steps_of_epoch(values: Arguments, rows: int, processes: int = 0) -> int:
    """How many optimizer steps an epoch has, the last one of which may have fewer batches."""
    cut = cut_of(values, processes or world_size())
    batches = math.ceil(epoch_size(values, rows, processes) / cut.batch)
    return max(1, math.ceil(batches / cut.accumulation))


def epoch_size(values: Arguments, rows: int, processes: int = 0) -> int:
    """How many rows the order of an epoch has: where a stage learns from the same rows several
    times, they count as often, and whole rounds are filled up."""
    stage, buffer, passes = values.stage, 1, 1
    if stage in GROUPED:
        passes = values.num_iterations
    elif stage == "ppo":
        buffer, passes = values.ppo_buffer_size, values.ppo_epochs
    if buffer * passes == 1 and stage not in IN_GENERATIONS:
        return rows
    cut = cut_of(values, processes or world_size())
    stretch = cut.batch * cut.accumulation * buffer
    return math.ceil(rows / stretch) * stretch * passes


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _precision(values: Arguments, report: Report) -> dict[str, Any]:
    precision = training_precision(values)
    for notice in precision.notices:
        report.notice(notice)
    return {"bf16": precision.bf16, "fp16": precision.fp16}


def _schedule(values: Arguments, total: int, report: Report) -> dict[str, Any]:
    options, notices = schedules.arguments(values, total)
    for notice in notices:
        report.notice(notice)
    return options


def _warmup(values: Arguments, total: int) -> int:
    """Steps; warmup_steps goes before warmup_ratio."""
    ratio = values.warmup_ratio
    return values.warmup_steps or math.ceil(ratio * total)


def _workers(values: Arguments, report: Report) -> int:
    """Loader processes, never more than cores; none where rows are made while they are learned."""
    if values.streaming:
        if values.dataloader_num_workers:
            report.notice(
                Problem(code="streaming_workers", field="dataloader_num_workers", notice=True)
            )
        return 0
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    workers = {
        "dataloader_num_workers": values.dataloader_num_workers,
        "preprocessing_num_workers": values.preprocessing_num_workers,
    }
    for name, asked in workers.items():
        if asked and asked > cores:
            params = {"asked": asked, "cores": cores}
            report.notice(Problem(code="workers_capped", field=name, params=params, notice=True))
    return min(values.dataloader_num_workers, cores)


def _intervals(values: Arguments, total: int, evaluates: bool, report: Report) -> dict[str, Any]:
    """How often is logged, evaluated and saved."""
    logging_steps = values.logging_steps
    if total // logging_steps < POINTS:
        lower = max(1, total // POINTS)
        if lower < logging_steps:
            params = {"asked": logging_steps, "used": lower, "total": total}
            report.notice(
                Problem(code="logging_lowered", field="logging_steps", params=params, notice=True)
            )
        logging_steps = min(logging_steps, lower)
    saving, save_steps = values.save_strategy, values.save_steps
    options: dict[str, Any] = {"logging_steps": logging_steps}
    strategy = (values.eval_strategy or "steps") if evaluates else "no"
    if strategy == "no":
        saving_options = {"save_strategy": saving, "save_steps": save_steps, "eval_on_start": False}
        return {**options, "eval_strategy": "no", **saving_options}
    eval_steps = values.eval_steps or save_steps
    options |= {"eval_strategy": strategy, "eval_steps": eval_steps}
    best = values.load_best_model_at_end
    if best and (saving != strategy or (strategy == "steps" and save_steps % eval_steps)):
        saving, save_steps = strategy, eval_steps
        aligned: dict[str, int | str] = {"steps": eval_steps, "strategy": strategy}
        report.notice(
            Problem(code="saving_aligned", field="save_steps", params=aligned, notice=True)
        )
    by_evaluation = values.lr_scheduler_type in schedules.BY_EVALUATION
    if best or by_evaluation or values.early_stopping_steps:
        options |= schedules.best_model_arguments(values)
    return {
        **options,
        "save_strategy": saving,
        "save_steps": save_steps,
        "load_best_model_at_end": best,
    }


def assert_group(args: TrainingArguments) -> None:
    """Stop where several processes were started but would each train alone (a known trap)."""
    count = world_size()
    assert args.world_size == count, f"{count} processes were started, {args.world_size} are joined"
    logger.info(
        "device %s, %d process(es), %s, torch %s",
        args.device,
        args.world_size,
        args.distributed_state.distributed_type if args.distributed_state else "",
        torch.__version__,
    )
    if args.deepspeed:
        join()
