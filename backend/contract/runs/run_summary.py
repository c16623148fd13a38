"""What a list says of a run: the part of its state that many runs can be held in memory with."""

from dataclasses import dataclass
from pathlib import Path

from backend.contract.runs.states import State


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The name, the state and the steps of a run at one moment."""

    path: Path
    name: str
    model: str
    method: str
    task: str
    created: str  # ISO time
    sequence: int  # order of creation, independent of the clock
    state: State
    step: int = 0
    total_steps: int = 0  # 0 where it is not known

    @property
    def ended(self) -> bool:
        """Whether the run is over, one way or another."""
        return self.state.ended

    @property
    def order(self) -> tuple[int, str]:
        """What lists of runs are sorted by, the newest first."""
        return self.sequence, self.created
