"""The curves of a run as data for the browser: columns of steps and values, thinned and smoothed.

A line is thinned to MAX_POINTS; the lowest and the highest value of each stretch stay, so that no
spike is lost. What comes later is added point by point, until the line is read anew.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from backend.contract.runs import metrics

# The metrics of the stages that have an explanation, what matters most first.
KNOWN = (
    "reward",
    "rewards/accuracies",
    "rewards/margins",
    "kl",
    "completion_length",
    "rewards/chosen",
    "rewards/rejected",
    "reward_std",
    "frac_reward_zero_std",
    "clipped_ratio",
    "logps/chosen",
    "logps/rejected",
    "entropy",
    "clip_fraction",
    "kl_coef",
    "policy_loss",
    "value_loss",
    "sft_loss",
    "odds_ratio_loss",
    "accuracy",
)
MAX_NAMES = 100
EVAL = "eval_"
MAX_POINTS = 2000
SMOOTH_FROM = 12  # fewer points are drawn as they are
GROWTH = 1.5  # a line that has grown so many times is smoothed anew
GIB, GB = 2**30, 10**9  # bytes; disks are sold and shown in the latter

Row = Mapping[str, Any]  # a row of metrics.jsonl as it is in the file


class Line(NamedTuple):
    """One series: `x` steps, `y` values, None where the line has a gap."""

    x: list[int]
    y: list[float | None]


@dataclass(frozen=True)
class Average:
    """An exponential moving average as it stands after the last value, to go on from.

    keep    the share of what was before that each value leaves
    total   the weighted sum of the values, weight that of their weights
    """

    keep: float
    total: float = 0.0
    weight: float = 0.0


def list_metrics(names: Iterable[str]) -> list[str]:
    """The metrics of a stage by name, evaluation's joined with training's, known ones first."""
    bare = dict.fromkeys(name.removeprefix(EVAL) for name in names)
    known = [name for name in KNOWN if name in bare]
    return (known + sorted(bare.keys() - set(KNOWN)))[:MAX_NAMES]


def describe_line(line: Line, name: str) -> dict[str, Any]:
    """A series as it stands: thinned, and beside it smoothed where that helps.

    `again_at` is the number of its points at which it should be read anew.
    """
    count = len(line.x)
    points: dict[str, Any] = {**_plain(thin(line)), "count": count}
    if not _is_smoothed(name):
        return {**points, "again_at": count + MAX_POINTS}
    if count < SMOOTH_FROM:
        return {**points, "again_at": SMOOTH_FROM}
    smoothed, average = smooth(line)
    points["smooth"] = {**_plain(thin(smoothed)), **asdict(average)}
    return {**points, "again_at": min(math.ceil(GROWTH * count), count + MAX_POINTS)}


def read_new_points(rows: Sequence[Row], series: Iterable[str]) -> dict[str, Any]:
    """The points of new rows, by the name of their series; those without a new one are left out."""
    lines = {name: read_column(rows, name) for name in series}
    return {name: _plain(line) for name, line in lines.items() if line.x}


def _is_smoothed(name: str) -> bool:
    """Losses and metrics of training jump from step to step; evaluations are few."""
    return name == "loss" or (name not in SERIES and not name.startswith(EVAL))


def _plain(line: Line) -> dict[str, Any]:
    return {
        "x": line.x,
        "y": [None if value is None else float(f"{value:.6g}") for value in line.y],
    }


# The series that every stage has; all others are metrics of a stage.
SERIES = (
    "loss",
    "eval_loss",
    "learning_rate",
    "grad_norm",
    "tokens_per_second",
    "memory",
    "disk_free",
    "checkpoints",
)
UNITS = {"memory": GIB, "disk_free": GB, "checkpoints": GB}
PLAIN = {int, float, type(None)}


def read_column(rows: Sequence[Row], name: str) -> Line:
    """One series; NaN and infinity become gaps, rows without it are left out."""
    if name == "eval_loss":  # few rows have it
        rows = [row for row in rows if name in row or not ("loss" in row or "tokens" in row)]
    values = _read_values(rows, name)
    if not PLAIN.issuperset(map(type, values)):
        values = [metrics.to_number(value) for value in values]
    steps = [row["step"] for row in rows]
    if type(None) in set(map(type, values)):
        steps = [step for step, value in zip(steps, values, strict=True) if value is not None]
        values = [value for value in values if value is not None]
    if name in UNITS:
        values = [value / UNITS[name] for value in values]
    if not all(map(math.isfinite, values)):
        values = [value if math.isfinite(value) else None for value in values]
    return Line(steps, values)


def _read_values(rows: Sequence[Row], name: str) -> list[Any]:
    """What rows hold of a series. JSON has no NaN: a row of training without its loss, or of an
    evaluation without its own, had one that was no number."""
    if name == "loss":
        absent = {True: math.nan, False: None}
        return [row[name] if name in row else absent["tokens" in row] for row in rows]
    return [row.get(name, math.nan if name == "eval_loss" else None) for row in rows]


def smooth(line: Line) -> tuple[Line, Average]:
    """Exponential moving average over about a twentieth of the line, unbiased at its start."""
    keep = 1 - 2 / (max(4.0, len(line.x) / 20) + 1)
    share = 1 - keep
    y: list[float | None] = []
    total = weight = 0.0
    for value in line.y:
        if value is None:
            y.append(None)
            continue
        total = keep * total + share * value
        weight = keep * weight + share
        y.append(total / weight)
    return Line(line.x, y), Average(keep, total, weight)


def thin(line: Line, limit: int = MAX_POINTS) -> Line:
    """At most `limit` points: of each stretch its lowest and highest, and its gap if any."""
    if len(line.x) <= limit:
        return line
    size = math.ceil(len(line.x) / (limit // 3))
    x: list[int] = []
    y: list[float | None] = []
    for start in range(0, len(line.x), size):
        part = line.y[start : start + size]
        known = [value for value in part if value is not None]
        keep = {part.index(min(known)), part.index(max(known))} if known else set()
        if len(known) < len(part):
            keep.add(part.index(None))
        for place in sorted(keep):
            x.append(line.x[start + place])
            y.append(part[place])
    return Line(x, y)
