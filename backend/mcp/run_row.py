"""A run as agents see it: which one is meant, and how it does."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.cli.terminal import run_of
from backend.contract.folders.home import relative
from backend.contract.runs import metrics, run_folder, run_view
from backend.contract.runs.run_folder import RunView, State
from backend.contract.texts.locales import DEFAULT_LANGUAGE
from backend.contract.texts.problems import Problem

RunName = Annotated[
    str,
    Field(
        min_length=1,
        description="A run: its path as list_runs gives it (saves/MODEL/METHOD/NAME), "
        "or the end of that path.",
    ),
]


class ProblemRow(BaseModel):
    """Something that is wrong, or worth knowing."""

    field: str = Field(description="the argument that it is about; empty where it is about none")
    text: str = Field(description="what it is, and what to do about it")
    notice: bool = Field(description="true: worth knowing; false: an error that prevents a start")

    @classmethod
    def of(cls, problem: Problem) -> "ProblemRow":
        """The row of a problem."""
        return cls(field=problem.field, text=problem.text(), notice=problem.notice)


class RunRow(BaseModel):
    """One run at this moment."""

    run: str = Field(description="its path, by which other tools take it")
    kind: str = Field(description="train, eval, export, vocab or recipe")
    state: State = Field(
        description="QUEUED, STARTING, RUNNING and STOPPING go on; the others have ended"
    )
    ended: bool
    model: str
    method: str
    step: int
    total_steps: int | None = Field(description="null while it is not known")
    progress: str = Field(description="state, steps, time left and speed in words")
    created: str = Field(description="ISO 8601")
    seconds: float | None = Field(description="since the start, or of the whole run once ended")
    seconds_left: float | None = Field(description="an estimate; null where there is none")
    reason: str = Field(description="why it ended early, and what to do; else empty")
    notices: list[str]


def describe_run(view: RunView) -> RunRow:
    """The row of a run."""
    rows = metrics.last(view.path / run_folder.METRICS)
    words = run_view.progress(view, rows, DEFAULT_LANGUAGE).words
    state = run_view.describe_state(view, DEFAULT_LANGUAGE)
    reasons = [view.reason, *view.more, run_folder.resumption(view)]
    return RunRow(
        run=relative(view.path),
        kind=view.task,
        state=view.state,
        ended=view.ended,
        model=view.model,
        method=view.method,
        step=view.step,
        total_steps=view.total_steps or None,
        progress=" · ".join(filter(None, [state, words])),
        created=view.created,
        seconds=view.elapsed,
        seconds_left=view.eta,
        reason="\n".join(problem.text() for problem in reasons if problem),
        notices=[problem.text() for problem in (*view.notices, *view.stalls)],
    )


def find_run(word: str) -> RunView:
    """The run that is meant. Raises UsageError where there is none, or several."""
    return run_folder.read(run_of(word))
