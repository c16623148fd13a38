"""Read a run from its folder, as lists and panels show it; its state and progress in words.

Nothing here raises for the content of a folder: torn and foreign content counts as absent.
"""

import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from backend.contract.arguments.field import Values
from backend.contract.arguments.names import to_name
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import saves
from backend.contract.runs import metrics, run_files, stalls
from backend.contract.runs.checkpoints import checkpoints
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_files import (
    EXIT,
    LAUNCH,
    METRICS,
    NOTIFIED,
    PROBLEM,
    RUN,
    STATUS,
    STOP,
    SUPERVISOR_LOG,
    read_exit_code,
)
from backend.contract.runs.run_summary import RunSummary
from backend.contract.runs.states import Facts, State, state
from backend.contract.system import processes
from backend.contract.system.files import read_json
from backend.contract.system.processes import Process
from backend.contract.texts.locales import DEFAULT_LANGUAGE, has, t
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import Problem

READING = {"loading", "tokenizing"}  # phases before the first step, which count rows


@dataclass(frozen=True, kw_only=True)
class RunView(RunSummary):
    """Everything that its folder says of a run at one moment."""

    reason: Problem | None
    more: tuple[Problem, ...] = ()  # further problems of a failed run
    rows: tuple[int, int] = (0, 0)  # rows read and all rows, while the data is prepared
    eta: float | None = None  # seconds
    elapsed: float | None = None  # seconds since the launch, or of the whole run once it has ended
    phase: str = ""
    notices: tuple[Problem, ...] = ()
    stalls: tuple[Problem, ...] = ()  # notices where a run has given no sign of life for long
    recorded: Values = field(default_factory=dict)  # arguments as run.json has them, unchecked
    argv: tuple[str, ...] = ()

    @functools.cached_property
    def arguments(self) -> Arguments:
        """The recorded arguments that are known here and have the right type."""
        return Arguments.from_known(self.recorded)

    @property
    def unsupervised(self) -> bool:
        """Whether the child goes on and its supervisor is gone."""
        return self.reason is not None and self.reason.code == "run_unsupervised"


def read(path: Path) -> RunView:
    """The run in a folder as it is now."""
    row = read_json(path / RUN)
    token = str(row.get("token", ""))
    judgement = _judge(path, token)
    where, status = judgement.state, judgement.status
    done, total = _whole(status.get("step")), _whole(status.get("total"))
    reading = (status.get("counted") or status.get("phase")) in READING
    step = (0 if reading else done) or _last_step(path)
    arguments, argv = row.get("arguments"), row.get("argv")
    model, method = _origin(path, arguments)
    return RunView(
        path=path,
        name=path.name,
        model=model,
        method=method,
        task=str(row.get("kind", "")),
        created=str(row.get("created", "")),
        sequence=_whole(row.get("sequence")),
        state=where,
        reason=judgement.reason,
        more=_problems(read_json(path / PROBLEM), "more") if where is State.FAILED else (),
        step=step,
        total_steps=(0 if reading else total) or (step if where is State.SUCCEEDED else 0),
        rows=(done, total) if reading and not where.ended else (0, 0),
        eta=None if where.ended else _number(status.get("eta")),
        elapsed=_elapsed_seconds(judgement.facts, ended=where.ended),
        phase=str(status.get("phase", "")),
        notices=(
            *_problems(row, "notices"),
            *_problems(status, "notices"),
            *_problems(read_json(path / NOTIFIED), "notices"),
        ),
        stalls=_find_stalls(path, judgement, token),
        recorded=arguments if isinstance(arguments, dict) else {},
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
    return sorted(views, key=lambda view: view.order, reverse=True)


def folders(root: Path) -> list[Path]:
    """The folders of all runs, in no order."""
    run_folders = [file.parent for file in root.glob("[!.]*/[!.]*/[!.]*/run.json")]
    return [
        *(each for each in run_folders if run_files.is_standard(root, each)),
        *run_files.list_runs(root),
    ]


class _Judgement(NamedTuple):
    """The state of a run and its reason, with what they were decided from."""

    state: State
    reason: Problem | None
    facts: Facts
    status: Mapping[str, object]


def _judge(path: Path, token: str) -> _Judgement:
    judgement = _judge_once(path, token)
    if judgement.state.ended and not judgement.facts.exit:
        # The supervisor may have written exit.json and ended between the two reads.
        judgement = _judge_once(path, token)
    return judgement


def _judge_once(path: Path, token: str) -> _Judgement:
    """Only the child carries the run's token, not the supervisor."""
    facts, status = _read_facts(path)
    child = Process.from_json(facts.launch.get("child"))

    def alive(process: Process) -> bool:
        return processes.is_alive(process, token if process == child else "")

    boot = "" if facts.exit else processes.boot_id()
    return _Judgement(*state(facts, boot, alive), facts, status)


def _read_facts(path: Path) -> tuple[Facts, Mapping[str, object]]:
    """The facts, and status.json, in which one of them stands."""
    problem = read_json(path / PROBLEM)
    try:
        age = time.time() - (path / SUPERVISOR_LOG).stat().st_mtime
    except OSError:
        age = float("inf")
    launched = {"exit": read_json(path / EXIT), "launch": read_json(path / LAUNCH)}
    status = read_json(path / STATUS)
    facts = Facts(
        **launched,
        problem=Problem.from_json(problem) if problem else None,
        noted_exit_code=read_exit_code(status),
        stop=(path / STOP).exists(),
        age=age,
    )
    return facts, status


def _origin(path: Path, recorded: object) -> tuple[str, str]:
    """Model and method: from the folder's place in saves/, else from the run's arguments."""
    if run_files.is_standard(saves(), path):
        return path.parent.parent.name, path.parent.name
    arguments = Arguments.from_known(recorded)
    model = arguments.model_name_or_path or ""
    method = arguments.finetuning_type if "finetuning_type" in arguments else ""
    return to_name(model) if model else "", method


def _find_stalls(path: Path, judgement: _Judgement, token: str) -> tuple[Problem, ...]:
    if judgement.state not in {State.RUNNING, State.STOPPING}:
        return ()
    return stalls.notices(path, judgement.status, judgement.facts.launch, token)


def _elapsed_seconds(facts: Facts, *, ended: bool) -> float | None:
    if ended:
        return _number(facts.exit.get("seconds"))
    began = _number(facts.launch.get("uptime"))
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
        parts.append(t("panel.left", lang, time=duration(view.eta, lang)))
    speed = find_pace(rows)
    if speed:
        parts.append(t("panel.speed", lang, speed=format_number(speed, ",.0f")))
    done, total = _count(view)
    share = min(1.0, done / total) if total else None
    return Progress(share, " · ".join(parts))


def describe_position(view: RunView, rows: Sequence[Metrics], lang: str) -> list[str]:
    """Step of all steps (row of all rows while they are read), and the epoch, where known."""
    parts, key = [], "panel.rows" if view.rows[1] else "panel.step"
    done, total = _count(view)
    if total:
        parts.append(t(key, lang, step=format_number(done), total=format_number(total)))
    last = next((row for row in _list_newest(rows) if row.tokens is not None), None)
    if last is not None and last.epoch is not None:
        parts.append(t("panel.epoch", lang, epoch=format_number(last.epoch, ".2f")))
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


def duration(seconds: float, lang: str = DEFAULT_LANGUAGE) -> str:
    """A duration in words of digits: 1:05, 2:03:04, 3 d 04:00."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    rest = round(seconds)
    days, rest = divmod(rest, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    if days:
        return t("panel.days", lang, days=days, time=f"{hours:02}:{minutes:02}")
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
