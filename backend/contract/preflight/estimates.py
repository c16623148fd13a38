"""Estimates of the memory of a training, from a warm child, so that whoever asks loads no torch.

One child (`python -m backend.estimate.answers`) serves the whole process that asks.
"""

from typing import Any

from backend.contract.arguments.field import Values
from backend.contract.preflight import requirements
from backend.contract.runs.forecast import Forecast
from backend.contract.system.warm_child import Message, WarmChild

MEASURE_S = 900.0  # a model is loaded, and trained for some steps
SILENCE_S = 60.0  # the first answer takes as long as torch and its friends take to be imported

child = WarmChild("backend.estimate.answers", HF_HUB_OFFLINE="1")
_measuring = WarmChild("backend.estimate.answers", HF_HUB_OFFLINE="1")


def estimate(values: Values, silence: float = SILENCE_S) -> Message:
    """The parts of the peak memory of a training in bytes, their total, and what is free in each
    place that computes: what `tuneboard estimate --json` prints. Raises TuneboardError, also where
    no answer comes for so many seconds of `silence`."""
    return _ask("estimate", values, silence=silence)


def foresee(values: Values) -> Forecast | None:
    """The steps and the time of a training, None where its rows are not known. Raises
    TuneboardError."""
    course = _ask("course", values)["course"]
    return Forecast.from_json(course) if course else None


def fit(values: Values) -> Message:
    """The nearest settings that fit: `changes` of the arguments ({} where nothing fits), the
    `total` that is then needed in bytes, and the share of the rows that is cut (`share_cut`, None
    where that is not known). Raises TuneboardError."""
    return _ask("fit", values)


def measure(values: Values) -> None:
    """Train some steps to know the pace, which `foresee` then goes by; it takes as long as a start.
    Raises TuneboardError."""
    try:
        _ask("measure", values, _measuring, MEASURE_S)
    finally:
        _measuring.end()


def stop_measuring() -> None:
    """End a measurement under way: it would take memory and time from a run that starts."""
    _measuring.end()


def _ask(
    what: str, values: Values, asked: WarmChild = child, silence: float = SILENCE_S
) -> Message:
    requirements.require_worker()
    plain: dict[str, Any] = {name: each for name, each in values.items() if each is not None}
    request = {"do": what, "values": plain}
    answer: Message = asked.answer(request, silence, "estimate_no_answer")
    return answer
