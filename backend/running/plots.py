"""The picture of a run: training_loss.png."""

from collections.abc import Sequence
from pathlib import Path

from backend.contract.runs.metrics import Metrics

NAME = "training_loss.png"
SMOOTHING = 0.8  # share of the former value in the smoothed curve


def draw_loss(rows: Sequence[Metrics], path: Path) -> None:
    """Training loss (raw and smoothed) and evaluation loss over steps, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    trained = [(row.step, row.loss) for row in rows if row.loss is not None]
    evaluated = [(row.step, row.eval_loss) for row in rows if row.eval_loss is not None]
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    if trained:
        steps, losses = zip(*trained, strict=True)
        axes.plot(steps, losses, color="#4c78a8", alpha=0.35, marker=_dots(steps), label="loss")
        axes.plot(steps, smooth(losses), color="#4c78a8", label="loss, smoothed")
    if evaluated:
        steps, losses = zip(*evaluated, strict=True)
        axes.plot(steps, losses, color="#e45756", marker="o", label="evaluation loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    if trained or evaluated:
        axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average, corrected for its start."""
    result: list[float] = []
    mean, weight = 0.0, 0.0
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        result.append(mean / weight)
    return result


def _dots(steps: Sequence[int]) -> str:
    """A single point makes no line, so it is drawn as a dot."""
    return "o" if len(steps) < 3 else ""
