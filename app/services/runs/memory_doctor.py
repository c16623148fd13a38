"""What helps a training that ran out of memory, by the arithmetic of the estimates."""

import json
import threading
from dataclasses import dataclass

from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.preflight import estimates
from backend.contract.runs import memory
from backend.contract.texts.problems import TuneboardError

HELD = 50  # advices that are remembered


@dataclass(frozen=True)
class Advice:
    """Arguments to change, {} where nothing is left; `is_due`: they are still being computed."""

    changes: Values
    is_due: bool = False


class Doctor:
    """Finds advice in the background, as the first answer takes as long as torch to be imported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advices: dict[str, Advice] = {}

    def advise(self, values: Arguments) -> Advice:
        """What helps this training, or that it is not known yet.

        Where there is no estimate, and where it says that there is room enough, so that other
        programs must have taken it, the rules of `memory.reduce` are all that there is to go by.
        """
        name = values.model_name_or_path
        if not name or not model_folder.local(name).exists():
            return Advice({**memory.reduce(values)})
        key = json.dumps(values.as_mapping(), sort_keys=True, default=str)
        with self._lock:
            advice = self._advices.get(key)
            if advice is None:
                while len(self._advices) >= HELD:
                    del self._advices[next(iter(self._advices))]
                advice = self._advices[key] = Advice({}, is_due=True)
                work = threading.Thread(target=self._find, args=(key, values), daemon=True)
                work.start()
        return advice

    def _find(self, key: str, values: Arguments) -> None:
        advice = Advice(find_changes(values))
        with self._lock:
            self._advices[key] = advice


def find_changes(values: Arguments) -> Values:
    """The nearest settings that fit into what is free now; {} where none do."""
    mapping = {**values.as_mapping()}
    try:
        peak = estimates.estimate(mapping)
        free = min((place["free"] for place in peak["places"]), default=0)
        if memory.judge(peak["total"], free) == "fits":
            return {**memory.reduce(values)}
        changes: Values = estimates.fit(mapping)["changes"]
    except TuneboardError:
        return {**memory.reduce(values)}
    return changes


doctor = Doctor()
