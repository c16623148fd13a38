"""Which figures of an evaluation are meant by the names of metrics."""

from collections.abc import Iterable, Mapping, Sequence

from backend.contract.arguments.arguments import suggest
from backend.contract.base.problems import Problem, UsageError

ROUGE = {f"predict_rouge-{kind}": f"rouge-{kind}" for kind in ("1", "2", "l")}
# Name of a metric -> figures in all_results.json -> their names in an Evaluation.
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
# Stage -> the figures that an evaluation in it has.
MEASURED: Mapping[str, Sequence[str]] = {
    "sft": (*PREDICTED, "eval_loss", "eval_perplexity"),
    "pt": ("eval_loss", "eval_perplexity"),
    "rm": ("eval_loss", "eval_rewards/accuracies", "eval_rewards/margins"),
}


def require_measured(figures: Mapping[str, str], stage: str) -> None:
    """Raises UsageError where an evaluation in this stage has not all of the figures."""
    measured = MEASURED.get(stage, figures)
    missing = [ours for figure, ours in figures.items() if figure not in measured]
    if missing:
        choices = [name for name, each in METRICS.items() if set(each) <= set(measured)]
        params = {"names": ", ".join(missing), "stage": stage, "choices": ", ".join(choices)}
        raise UsageError(Problem(code="tuner_metric_stage", field="metrics", params=params))


def figures_of(metrics: str | Sequence[str]) -> dict[str, str]:
    """The figures of all_results.json that the names of metrics mean, with their names here.

    Raises UsageError for a name that is none, with a near one, and where there is no name.
    """
    several = isinstance(metrics, Iterable) and not isinstance(metrics, str)
    asked = list(metrics) if several else [metrics]
    known = {_folded(name): figures for name, figures in METRICS.items()}
    problems = [_unknown(name) for name in asked if _folded(name) not in known]
    if not asked:
        problems = [_unknown(metrics)]
    if problems:
        raise UsageError(*problems)
    return {figure: ours for name in asked for figure, ours in known[_folded(name)].items()}


def _folded(name: object) -> str:
    """rougeL, rouge_l and rouge-l are one name."""
    return str(name).lower().replace("-", "").replace("_", "")


def _unknown(name: object) -> Problem:
    near = suggest(str(name).lower(), METRICS)
    choices = ", ".join(METRICS)
    if near:
        params = {"value": str(name)[:80], "near": near, "choices": choices}
        return Problem(code="tuner_metric_near", field="metrics", params=params)
    params = {"value": repr(name)[:80], "choices": choices}
    return Problem(code="not_choice", field="metrics", params=params)
