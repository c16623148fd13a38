"""Read a run from its folder, as lists and panels show it; its state and progress in words.

Nothing here raises for the content of a folder: torn and foreign content counts as absent.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from backend.contract.arguments.field import Values
from backend.contract.arguments.names import to_name
from backend.contract.folders.home import saves
from backend.contract.runs import metrics, run_files, stalls
from backend.contract.runs.checkpoints import checkpoints
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_files import (
    EXIT,
    LAUNCH,
    METRICS,
    PROBLEM,
    RUN,
    STATUS,
    STOP,
    SUPERVISOR_LOG,
    noted_exit_code,
)
from backend.contract.runs.states import Facts, State, state
from backend.contract.system import processes
from backend.contract.system.files import read_json
from backend.contract.system.processes import Process
from backend.contract.texts.locales import has, t
from backend.contract.texts.problems import Problem

READING = {"loading", "tokenizing"}  # phases before the first step, which count rows


@dataclass(frozen=True, kw_only=True)
class RunView:
    """The state of a run at one moment."""

    path: Path
    name: str
    model: str
    method: str
    task: str
    created: str  # ISO time
    sequence: int  # order of creation, independent of the clock
    state: State
    reason: Problem | None
    more: tuple[Problem, ...] = ()  # further problems of a failed run
    step: int = 0
    total_steps: int = 0  # 0 where it is not known
    rows: tuple[int, int] = (0, 0)  # rows read and all rows, while the data is prepared
    eta: float | None = None  # seconds
    elapsed: float | None = None  # seconds since the launch, or of the whole run once it has ended
    phase: str = ""
    notices: tuple[Problem, ...] = ()
    stalls: tuple[Problem, ...] = ()  # notices where a run has given no sign of life for long
    arguments: Values = field(default_factory=dict)
    argv: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the run is over, one way or another."""
        return self.state.ended

    @property
    def unsupervised(self) -> bool:
        """Whether the child goes on and its supervisor is gone."""
        return self.reason is not None and self.reason.code == "run_unsupervised"


def read(path: Path) -> RunView:
    """The run in a folder as it is now."""
    row = read_json(path / RUN)
    token = str(row.get("token", ""))
    where, reason = _state(path, token)
    status = read_json(path / STATUS)
    done, total = _whole(status.get("step")), _whole(status.get("total"))
    reading = (status.get("counted") or status.get("phase")) in READING
    step = (0 if reading else done) or _last_step(path)
    arguments, argv = row.get("arguments"), row.get("argv")
    model, method = _origin(path, arguments if isinstance(arguments, dict) else {})
    return RunView(
        path=path,
        name=path.name,
        model=model,
        method=method,
        task=str(row.get("kind", "")),
        created=str(row.get("created", "")),
        sequence=_whole(row.get("sequence")),
        state=where,
        reason=reason,
        more=_problems(read_json(path / PROBLEM), "more") if where is State.FAILED else (),
        step=step,
        total_steps=(0 if reading else total) or (step if where is State.SUCCEEDED else 0),
        rows=(done, total) if reading and not where.ended else (0, 0),
        eta=None if where.ended else _number(status.get("eta")),
        elapsed=_elapsed_seconds(path, ended=where.ended),
        phase=str(status.get("phase", "")),
        notices=(*_problems(row, "notices"), *_problems(status, "notices")),
        stalls=_find_stalls(path, status, token, where),
        arguments=arguments if isinstance(arguments, dict) else {},
        argv=tuple(map(str, argv)) if isinstance(argv, list) else (),
    )


def resumption(view: RunView) -> Problem | None:
    """A notice whether a training that ended too early can be resumed, and from which step.

    None for other runs. Sizes are compared, no weights are read.
    """
    if view.task != "train" or not view.ended or view.state is State.SUCCEEDED:
        return None
    points = checkpoints(view.path)
    if not points:
        return Problem(code="run_not_resumable", notice=True)
    return Problem(code="run_resumable", params={"step": points[-1].step}, notice=True)


def runs(root: Path) -> list[RunView]:
    """All runs, those in saves (`root`) and those of the index; the newest first."""
    views = [read(folder) for folder in folders(root)]
    return sorted(views, key=lambda view: (view.sequence, view.created), reverse=True)


def folders(root: Path) -> list[Path]:
    """The folders of all runs, in no order."""
    run_folders = [file.parent for file in root.glob("[!.]*/[!.]*/[!.]*/run.json")]
    return [
        *(each for each in run_folders if run_files.is_standard(root, each)),
        *run_files.list_runs(root),
    ]


def _state(path: Path, token: str) -> tuple[State, Problem | None]:
    facts = _facts(path)
    judgement = _judge(facts, token)
    if judgement[0].ended and not facts.exit:
        # The supervisor may have written exit.json and ended between the two reads.
        judgement = _judge(_facts(path), token)
    return judgement


def _judge(facts: Facts, token: str) -> tuple[State, Problem | None]:
    """The state and its reason. Only the child carries the run's token, not the supervisor."""
    child = Process.from_json(facts.launch.get("child"))

    def alive(process: Process) -> bool:
        return processes.is_alive(process, token if process == child else "")

    return state(facts, processes.boot_id(), alive)


def _facts(path: Path) -> Facts:
    problem = read_json(path / PROBLEM)
    try:
        age = time.time() - (path / SUPERVISOR_LOG).stat().st_mtime
    except OSError:
        age = float("inf")
    return Facts(
        exit=read_json(path / EXIT),
        launch=read_json(path / LAUNCH),
        problem=Problem.from_json(problem) if problem else None,
        noted_exit_code=noted_exit_code(path),
        stop=(path / STOP).exists(),
        age=age,
    )


def _origin(path: Path, arguments: Mapping[str, object]) -> tuple[str, str]:
    """Model and method: from the folder's place in saves/, else from the run's arguments."""
    if run_files.is_standard(saves(), path):
        return path.parent.parent.name, path.parent.name
    model = str(arguments.get("model_name_or_path") or "")
    return to_name(model) if model else "", str(arguments.get("finetuning_type") or "")


def _find_stalls(
    path: Path, status: Mapping[str, object], token: str, where: State
) -> tuple[Problem, ...]:
    if where not in {State.RUNNING, State.STOPPING}:
        return ()
    return stalls.notices(path, status, read_json(path / LAUNCH), token)


def _elapsed_seconds(path: Path, *, ended: bool) -> float | None:
    if ended:
        return _number(read_json(path / EXIT).get("seconds"))
    began = _number(read_json(path / LAUNCH).get("uptime"))
    return None if began is None else max(0.0, processes.uptime() - began)


def _problems(row: Mapping[str, object], key: str) -> tuple[Problem, ...]:
    """The problems in a list of a file, whatever else the file holds."""
    content = row.get(key)
    rows_of_problems = (
        [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    )
    return tuple(Problem.from_json(each) for each in rows_of_problems)


def _last_step(path: Path) -> int:
    rows = metrics.last(path / METRICS)
    return rows[-1].step if rows else 0


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


RECENT = 1000  # rows
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Progress(NamedTuple):
    """The progress of a run: a share from 0 to 1 (None while unknown), and its description."""

    share: float | None
    words: str


def describe_state(view: RunView, lang: str) -> str:
    """The state, with the phase of a run that goes on: "Running: training"."""
    word = t(f"state.{view.state.value}", lang)
    phase = f"panel.phase.{view.phase}"
    if view.state != State.RUNNING or not has(phase):
        return word
    return t("panel.state", lang, state=word, phase=t(phase, lang))


def progress(view: RunView, rows: Sequence[Metrics], lang: str) -> Progress:
    """Step of all steps (row of all rows while they are read), epoch, time left and speed."""
    parts = describe_position(view, rows, lang)
    if not view.ended and view.eta is not None:
        parts.append(t("panel.left", lang, time=duration(view.eta)))
    speed = find_pace(rows)
    if speed:
        parts.append(t("panel.speed", lang, speed=f"{speed:,.0f}"))
    done, total = _count(view)
    share = min(1.0, done / total) if total else None
    return Progress(share, " · ".join(parts))


def describe_position(view: RunView, rows: Sequence[Metrics], lang: str) -> list[str]:
    """Step of all steps (row of all rows while they are read), and the epoch, where known."""
    parts, key = [], "panel.rows" if view.rows[1] else "panel.step"
    done, total = _count(view)
    if total:
        parts.append(t(key, lang, step=f"{done:,}", total=f"{total:,}"))
    last = next((row for row in _list_newest(rows) if row.tokens is not None), None)
    if last is not None and last.epoch is not None:
        parts.append(t("panel.epoch", lang, epoch=f"{last.epoch:.2f}"))
    return parts


def find_pace(rows: Sequence[Metrics]) -> float | None:
    """The newest measurement of tokens per second, or None."""
    return next(
        (row.tokens_per_second for row in _list_newest(rows) if row.tokens_per_second), None
    )


def _list_newest(rows: Sequence[Metrics]) -> Iterator[Metrics]:
    """The rows from the newest on, as far back as what they say is of now."""
    return islice(reversed(rows), RECENT)


def _count(view: RunView) -> tuple[int, int]:
    return view.rows if view.rows[1] else (view.step, view.total_steps)


def duration(seconds: float) -> str:
    """A duration in words of digits: 1:05, 2:03:04, 3 d 04:00."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    rest = round(seconds)
    days, rest = divmod(rest, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
