"""Tools on runs: follow one, stop one, compare several."""

import time
from typing import Annotated

import anyio
from anyio import to_thread
from pydantic import BaseModel, Field

from backend.contract.folders.home import relative
from backend.contract.launching import launch
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.comparison import compare
from backend.contract.runs.losses import read_losses
from backend.contract.runs.new_lines import LAST, NewLines, read_lines
from backend.contract.runs.run_folder import RunView
from backend.contract.texts.log_text import clean, shorten
from backend.contract.texts.problems import Problem, UsageError
from backend.mcp.run_row import RunName, RunRow, describe_run, find_run
from backend.mcp.tool import Input

POLL_S = 0.2
LONGEST_S = 50.0  # many clients give a call up after a minute

Offset = Annotated[
    int,
    Field(
        ge=LAST,
        le=2**53,
        description="the byte to go on from: the offset of the last answer; -1: the last lines",
    ),
]


class FollowRun(Input):
    """A run, and what of it is known."""

    run: RunName
    log_offset: Offset = LAST
    metrics_offset: Offset = LAST
    limit: int = Field(50, ge=1, le=500, description="lines of each kind at most")
    wait_seconds: float = Field(
        0, ge=0, le=LONGEST_S, description="how long to wait for something new, or for the end"
    )


class Piece(BaseModel):
    """What is new of a file."""

    offset: int = Field(description="what to ask with the next time")
    more: bool = Field(description="whether there is more already")
    anew: bool = Field(
        description="whether the file was written anew and is read from its start, as the offset "
        "lies behind its end"
    )


class LogPiece(Piece):
    """New lines of the log."""

    lines: list[str]


class MetricsPiece(Piece):
    """New rows of metrics, such as loss, eval_loss, learning_rate, tokens_per_second by step."""

    rows: list[dict[str, int | float | str]]


class RunNews(BaseModel):
    """How a run does, and what is new of it."""

    run: RunRow
    log: LogPiece
    metrics: MetricsPiece


async def follow_run(question: FollowRun) -> RunNews:
    """Say how a run does: its state, and the lines of its log and its metrics that are new since
    an offset. Call it again with the offsets of the answer until run.ended is true and nothing is
    left; wait_seconds saves calls."""
    deadline = time.monotonic() + question.wait_seconds
    while True:
        news = await to_thread.run_sync(_read_news, question)
        new = news.log.lines or news.metrics.rows
        if new or news.run.ended or time.monotonic() >= deadline:
            return news
        await anyio.sleep(POLL_S)


def _read_news(question: FollowRun) -> RunNews:
    view = find_run(question.run)  # before its files: what was there at the end is seen
    limit, ended = question.limit, view.ended
    log = read_lines(view.path / run_folder.LOG, question.log_offset, limit, ended=ended)
    rows = read_lines(view.path / run_folder.METRICS, question.metrics_offset, limit, ended=ended)
    return RunNews(run=describe_run(view), log=_show_log(log), metrics=_show_metrics(rows))


def _show_log(new: NewLines) -> LogPiece:
    text = clean(b"\n".join(new.lines).decode("utf-8", "replace"))
    lines = [shorten(line) for line in text.split("\n")] if new.lines else []
    return LogPiece(offset=new.offset, more=new.more, anew=new.anew, lines=lines)


def _show_metrics(new: NewLines) -> MetricsPiece:
    rows = [row for line in new.lines if (row := metrics.parse(line)) is not None]
    plain = [{name: each for name, each in row.items() if _is_plain(each)} for row in rows]
    content = {"offset": new.offset, "more": new.more, "anew": new.anew, "rows": plain}
    return MetricsPiece.model_validate(content)


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


class StopRun(Input):
    """A run."""

    run: RunName


class Stopped(BaseModel):
    """A run that was asked to stop."""

    asked: bool = Field(description="false: it had ended, or was asked, already")
    run: RunRow


def stop_run(question: StopRun) -> Stopped:
    """Ask a run to save a checkpoint and end; a queued one is taken out of the queue. It is ended
    by force only if it does not answer. It can be resumed with `tuneboard resume RUN`."""
    view = find_run(question.run)
    asked = launch.stop(view.path)
    return Stopped(asked=asked, run=describe_run(run_folder.read(view.path)))


class CompareRuns(Input):
    """Several runs."""

    runs: list[RunName] = Field(
        min_length=2, max_length=10, description="the runs to put side by side, each named once"
    )


class Compared(BaseModel):
    """One of the runs; null where a loss was not measured."""

    run: RunRow
    loss: float | str | None = Field(description="the newest training loss")
    eval_loss: float | str | None = Field(description="the newest evaluation loss")
    best_eval_loss: float | None
    best_eval_step: int | None
    scores: dict[str, float] = Field(description="final metrics, as all_results.json has them")


class SideBySide(BaseModel):
    """Runs side by side."""

    runs: list[Compared]
    differing_arguments: dict[str, list[str]] = Field(
        description="arguments that are not the same in all runs, with the value in each of them, "
        "in the order of runs"
    )


def compare_runs(question: CompareRuns) -> SideBySide:
    """Compare runs: state, losses, final scores, and the arguments that differ."""
    views = [find_run(word) for word in question.runs]
    _require_different(views)
    comparison = compare(views)
    rows = []
    for number, view in enumerate(views):
        scores = {name: row[number] for name, row in comparison.scores.items()}
        measured = {name: score for name, score in scores.items() if score is not None}
        losses = vars(read_losses(view.path))
        rows.append(Compared(run=describe_run(view), scores=measured, **losses))
    differing = {name: list(row) for name, row in comparison.arguments.items()}
    return SideBySide(runs=rows, differing_arguments=differing)


def _require_different(views: list[RunView]) -> None:
    paths = [view.path for view in views]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        params = {"path": relative(twice)}
        raise UsageError(Problem(code="mcp_same_run", field="runs", params=params))
