"""Results of trainings and evaluations that were started in Python, and their metrics by name.

They are read from their folders. The result of a training has the arguments with which it is loaded
for scores, chat and export.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.contract.arguments.arguments import suggest
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.folders.home import relative
from backend.contract.models.model_folder import ADAPTER_CONFIG, adapter_base, local
from backend.contract.registry import dataset_info
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.run_folder import METRICS, RESULTS, RunView
from backend.contract.system.files import read_json
from backend.contract.texts.problems import Problem, UsageError

ROUGE = {f"predict_rouge-{kind}": f"rouge-{kind}" for kind in ("1", "2", "l")}
# Name of a metric -> names in all_results.json -> names in an Evaluation.
METRIC_NAMES: Mapping[str, Mapping[str, str]] = {
    "bleu": {"predict_bleu-4": "bleu-4"},
    "bleu-4": {"predict_bleu-4": "bleu-4"},
    "rouge": ROUGE,
    **{ours: {key: ours} for key, ours in ROUGE.items()},
    "exact_match": {"predict_exact_match": "exact_match"},
    "loss": {"eval_loss": "loss"},
    "perplexity": {"eval_perplexity": "perplexity"},
    "accuracy": {"eval_rewards/accuracies": "accuracy"},  # of a reward model
    "margin": {"eval_rewards/margins": "margin"},
}


PREDICTED = tuple(key for each in METRIC_NAMES.values() for key in each if "predict_" in key)
# Stage -> the results that an evaluation in it has, by their names in all_results.json.
MEASURED: Mapping[str, Sequence[str]] = {
    "sft": (*PREDICTED, "eval_loss", "eval_perplexity"),
    "pt": ("eval_loss", "eval_perplexity"),
    "rm": ("eval_loss", "eval_rewards/accuracies", "eval_rewards/margins"),
}


def require_measured(wanted: Mapping[str, str], stage: str) -> None:
    """Raises UsageError where an evaluation in this stage lacks some of the wanted results."""
    measured = MEASURED.get(stage, wanted)
    missing = [ours for key, ours in wanted.items() if key not in measured]
    if missing:
        choices = [name for name, each in METRIC_NAMES.items() if set(each) <= set(measured)]
        params = {"names": ", ".join(missing), "stage": stage, "choices": ", ".join(choices)}
        raise UsageError(Problem(code="tuner_metric_stage", field="metrics", params=params))


def result_names(metrics: str | Sequence[str]) -> dict[str, str]:
    """The names in all_results.json of the metrics, each with its name in an Evaluation.

    Raises UsageError for an unknown name, with a similar one, and where there is no name.
    """
    several = isinstance(metrics, Iterable) and not isinstance(metrics, str)
    names = list(metrics) if several else [metrics]
    known = {_fold_name(name): keys for name, keys in METRIC_NAMES.items()}
    problems = [_unknown_problem(name) for name in names if _fold_name(name) not in known]
    if not names:
        problems = [_unknown_problem(metrics)]
    if problems:
        raise UsageError(*problems)
    return {key: ours for name in names for key, ours in known[_fold_name(name)].items()}


def _fold_name(name: object) -> str:
    """A name without case, hyphens and underscores: rougeL, rouge_l and rouge-l are one."""
    return str(name).lower().replace("-", "").replace("_", "")


def _unknown_problem(name: object) -> Problem:
    near = suggest(str(name).lower(), METRIC_NAMES)
    choices = ", ".join(METRIC_NAMES)
    if near:
        params = {"value": str(name)[:80], "near": near, "choices": choices}
        return Problem(code="tuner_metric_near", field="metrics", params=params)
    params = {"value": repr(name)[:80], "choices": choices}
    return Problem(code="not_choice", field="metrics", params=params)


# Arguments of a training that hold for its result, too, beside those about the model.
GROUPS = {"model", "quantization"}
SHARED = ("dataset_dir", "cutoff_len", "enable_thinking", "identity_name", "identity_author")
EVALUATED = ("pt", "rm")  # stages that can be evaluated beside sft


def arguments_of(view: RunView) -> dict[str, object]:
    """Raw values by the names of the argument table: model, adapters, how they are loaded, and the
    evaluation data of the training."""
    trained_with = view.arguments
    used: dict[str, object] = {
        name: value
        for name, value in view.recorded.items()
        if name in FIELDS and (FIELDS[name].group in GROUPS or name in SHARED)
    }
    if trained_with.eval_dataset:
        used["eval_dataset"] = trained_with.eval_dataset
    used["stage"] = trained_with.stage if trained_with.stage in EVALUATED else "sft"
    folder = relative(view.path)
    if not is_adapter(trained_with.finetuning_type):
        return {**used, "model_name_or_path": folder, "adapter_name_or_path": None}
    before = dataset_info.names(trained_with.adapter_name_or_path)
    # Without a new adapter the last one was trained further, and is in the new folder.
    if not trained_with.create_new_adapter:
        model = local(str(trained_with.model_name_or_path))
        if not before and (model / ADAPTER_CONFIG).is_file():
            used["model_name_or_path"] = adapter_base(model)
        before = before[:-1]
    return {**used, "adapter_name_or_path": [*before, folder]}


PREDICTIONS = "generated_predictions.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The state of a training at the time of reading.

    folder       the run's own folder: a valid model (or adapter) path once it has ended
    state        SUCCEEDED, STOPPED, or RUNNING where it was not waited for
    step         optimizer steps done, of `total_steps` (0 where that is not known)
    metrics      the final results in all_results.json: train_loss, eval_loss, tokens ...
    log_history  a mapping for each logged step, oldest first: step, loss, learning_rate ...
    notices      what was worth saying of the run, in words
    """

    folder: Path
    state: str
    step: int
    total_steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    log_history: tuple[Mapping[str, float], ...] = field(default=(), repr=False)
    notices: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, folder: Path) -> "TrainResult":
        """Read the present state of the training in a folder."""
        view = run_folder.read(folder)
        rows, _ = metrics.read(folder / METRICS)
        return cls(
            folder=folder,
            state=view.state.value,
            step=view.step,
            total_steps=view.total_steps,
            metrics=_metrics(folder),
            log_history=tuple(json.loads(metrics.encode(row)) for row in rows),
            notices=tuple(notice.text() for notice in view.notices),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of an evaluation.

    folder       the run's own folder
    metrics      the metrics that were asked for: bleu-4 and rouge-1, rouge-2, rouge-l (0 to 100),
                 exact_match (percent), loss (nats a token), perplexity
    predictions  a mapping for each row of the test data, in its order: prompt, label, predict
    """

    folder: Path
    metrics: Mapping[str, float]
    predictions: tuple[Mapping[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, folder: Path, names: Mapping[str, str]) -> "Evaluation":
        """Read the evaluation in a folder; `names` maps names in all_results.json to ours."""
        measured = _metrics(folder)
        return cls(
            folder=folder,
            metrics={ours: measured[name] for name, ours in names.items() if name in measured},
            predictions=tuple(_predictions(folder / PREDICTIONS)),
        )


def _metrics(folder: Path) -> dict[str, float]:
    rows = read_json(folder / RESULTS)
    return {name: value for name, value in rows.items() if isinstance(value, int | float)}


def _predictions(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
