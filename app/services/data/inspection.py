"""Rows as tokens, from a warm child, so that the page process does not load torch.

One child (`python -m backend.data.inspection`) serves the whole page process. A crash or silence
becomes a problem.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from backend.contract.arguments.field import Values
from backend.contract.preflight import requirements
from backend.contract.system.warm_child import Busy, Died, Message, WarmChild
from backend.contract.texts.problems import ModelError, Problem

SILENCE_S = 120.0  # without a line from the child

_child = WarmChild("backend.data.inspection")


def tokens(values: Values, first: int, count: int) -> Message:
    """`count` rows from `first` on: lines, total, special (ids), notices. Raises TuneboardError."""
    request = {"do": "tokens", "values": _without_none(values), "first": first, "count": count}
    *_, last = ask(request)
    answer: Message = last["answer"]
    return answer


def stats(values: Values, exact: bool) -> Iterator[Message]:
    """Yield {"progress": [done, all]} repeatedly, then {"answer": ...}. Raises TuneboardError."""
    yield from ask({"do": "stats", "values": _without_none(values), "exact": exact})


def ask(request: Mapping[str, Any], seconds: float = SILENCE_S) -> Iterator[Message]:
    """The messages of the child about a request; the answer is the last one.

    Raises ModelError where the child crashes, is silent for `seconds`, or is busy with others;
    TuneboardError with the problems that it reports.
    """
    requirements.require_worker()
    try:
        yield from _child.ask(request, seconds)
    except Busy:
        raise ModelError(Problem(code="inspection_busy")) from None
    except Died as death:
        params = {"reason": death.reason}
        raise ModelError(Problem(code="inspection_died", params=params)) from None
    except TimeoutError:
        raise ModelError(
            Problem(code="inspection_silent", params={"seconds": round(seconds)})
        ) from None


def _without_none(values: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
