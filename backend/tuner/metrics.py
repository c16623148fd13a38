"""The names of metrics that an evaluation takes, and where their results stand."""

from collections.abc import Iterable, Mapping, Sequence

from backend.contract.arguments.arguments import suggest
from backend.contract.base.problems import Problem, UsageError

ROUGE = {f"predict_rouge-{kind}": f"rouge-{kind}" for kind in ("1", "2", "l")}
# Name of a metric -> names in all_results.json -> names in an Evaluation.
METRICS: Mapping[str, Mapping[str, str]] = {
    "bleu": {"predict_bleu-4": "bleu-4"},
    "bleu-4": {"predict_bleu-4": "bleu-4"},
    "rouge": ROUGE,
    **{ours: {figure: ours} for figure, ours in ROUGE.items()},
    "exact_match": {"predict_exact_match": "exact_match"},
    "loss": {"eval_loss": "loss"},
    "perplexity": {"eval_perplexity": "perplexity"},
    "accuracy": {"eval_rewards/accuracies": "accuracy"},  # of a reward model
    "margin": {"eval_rewards/margins": "margin"},
}


PREDICTED = tuple(figure for each in METRICS.values() for figure in each if "predict_" in figure)
# Stage -> the results that an evaluation in it has, by their names in all_results.json.
MEASURED: Mapping[str, Sequence[str]] = {
    "sft": (*PREDICTED, "eval_loss", "eval_perplexity"),
    "pt": ("eval_loss", "eval_perplexity"),
    "rm": ("eval_loss", "eval_rewards/accuracies", "eval_rewards/margins"),
}


def require_measured(wanted: Mapping[str, str], stage: str) -> None:
    """Raises UsageError where an evaluation in this stage lacks some of the wanted results."""
    measured = MEASURED.get(stage, wanted)
    missing = [ours for figure, ours in wanted.items() if figure not in measured]
    if missing:
        choices = [name for name, each in METRICS.items() if set(each) <= set(measured)]
        params = {"names": ", ".join(missing), "stage": stage, "choices": ", ".join(choices)}
        raise UsageError(Problem(code="tuner_metric_stage", field="metrics", params=params))


def result_names(metrics: str | Sequence[str]) -> dict[str, str]:
    """The names in all_results.json of the metrics, each with its name in an Evaluation.

    Raises UsageError for an unknown name, with a similar one, and where there is no name.
    """
    several = isinstance(metrics, Iterable) and not isinstance(metrics, str)
    names = list(metrics) if several else [metrics]
    known = {_fold_name(name): figures for name, figures in METRICS.items()}
    problems = [_unknown_problem(name) for name in names if _fold_name(name) not in known]
    if not names:
        problems = [_unknown_problem(metrics)]
    if problems:
        raise UsageError(*problems)
    return {figure: ours for name in names for figure, ours in known[_fold_name(name)].items()}


def _fold_name(name: object) -> str:
    """A name without case, hyphens and underscores: rougeL, rouge_l and rouge-l are one."""
    return str(name).lower().replace("-", "").replace("_", "")


def _unknown_problem(name: object) -> Problem:
    near = suggest(str(name).lower(), METRICS)
    choices = ", ".join(METRICS)
    if near:
        params = {"value": str(name)[:80], "near": near, "choices": choices}
        return Problem(code="tuner_metric_near", field="metrics", params=params)
    params = {"value": repr(name)[:80], "choices": choices}
    return Problem(code="not_choice", field="metrics", params=params)
