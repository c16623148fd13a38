"""Runs in a terminal: follow one until it ends, list them, stop and resume them."""

import json
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TextIO

from backend.contract.arguments.arguments import check_parsed, parse_pairs
from backend.contract.arguments.field import Values
from backend.contract.folders.home import describe_places, relative, saves
from backend.contract.launching import launch
from backend.contract.models.model_folder import local
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import resumed_run, resuming, run_folder, run_names
from backend.contract.runs.checkpoints import FOLDER
from backend.contract.runs.run_folder import RunView
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem, RunFolderError, UsageError
from backend.contract.texts.terminal_text import one_line, say

POLL_S = 0.2


def follow(folder: Path, offset: int = 0) -> int:
    """Show the log of a run as it grows, from `offset` (bytes) on.

    The first Ctrl-C asks the run to stop, the second leaves it; SIGTERM is one where runs end with
    what shows them. Returns the exit code of the run (128 + n where signal n ended it).
    """
    say(t("cli.run_folder", folder=str(folder)), sys.stderr)
    if launch.stops_with_page():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    log, asked = folder / run_folder.LOG, False
    stall = ""
    while True:
        try:
            view = run_folder.read(folder)
            offset = copy_log(log, offset)
            if view.ended:
                return _report_end(folder)
            stall = _report_stall(view, stall)
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if asked:
                say(t("cli.left_running", folder=str(folder)), sys.stderr)
                return 130
            asked = True
            launch.stop(folder)
            say(t("cli.stopping"), sys.stderr)


def _report_stall(view: RunView, before: str) -> str:
    """Print once in each stall that the run stands still, and return the code of that notice."""
    codes = {each.code for each in view.stalls}
    if view.stalls and before not in codes:
        for notice in view.stalls:
            say(notice.text(), sys.stderr)
    return view.stalls[0].code if view.stalls else ""


def log_size(folder: Path) -> int:
    """How many bytes the log of a run has, so that only what comes after is shown."""
    log = folder / run_folder.LOG
    return log.stat().st_size if log.exists() else 0


def copy_log(log: Path, offset: int) -> int:
    """Copy the log from `offset` (bytes) on to standard output; returns the new offset."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return offset
    sys.stdout.buffer.write(content)
    sys.stdout.flush()
    return offset + len(content)


def _report_end(folder: Path) -> int:
    view = run_folder.read(folder)
    say(t(f"state.{view.state.value}"), sys.stderr)
    for problem in (view.reason, *view.more, run_folder.resumption(view)):
        if problem is not None:
            say(problem.text(), sys.stderr)
    return run_folder.exit_code(folder)


def print_resumption(values: Values, stream: TextIO | None = None) -> None:
    """Print where a training goes on from, and a table of the arguments that have changed."""
    resumption = resuming.resumption(values)
    if resumption is None:
        return
    out = stream or sys.stderr
    for problem in resumption.damage:
        say(f"{t('cli.notice')}: {problem.text()}", out)
    say(resumption.place(relative(resumption.checkpoint)), out)
    if not resumption.changes:
        say(t("resume.unchanged"), out)
        return
    rows = resumption.rows()
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        say("  ".join([*cells, row[-1]]).rstrip(), out)


def resume(options: Namespace) -> int:
    """`tuneboard resume RUN [argument=value ...] [--dry-run]`: go on, perhaps with other values."""
    folder, point = _run_and_checkpoint(options.run)
    view = run_folder.read(folder)
    if not view.ended:
        raise RunFolderError(Problem(code="run_going_on", params={"path": str(folder)}))
    changes, problems = parse_pairs(options.more)
    if point:
        changes = {resuming.FIELD: point, **changes}
    values = None
    if view.task == "train":
        values, wrong = resumed_run.arguments_of(view, changes)
        values, notices = run_names.replace_names(values)
        problems = check_parsed(values, problems + wrong + notices, "train")
        if all(problem.notice for problem in problems):
            print_resumption(values, sys.stdout if options.dry_run else None)
            problems += check_paths(values, "train")
    elif changes:
        problems.append(Problem(code="resume_not_train", params={"path": str(folder)}))
    errors = [problem for problem in problems if not problem.notice]
    if errors:
        raise UsageError(*errors)
    if options.dry_run:
        return 0
    shown = log_size(folder)
    launch.resume(folder, values=values if changes else None)
    return follow(folder, shown)


def list_runs(options: Namespace) -> int:
    """`tuneboard runs [--json]`: each run with its state."""
    views = run_folder.runs(saves())
    if options.json:
        say(json.dumps([_row(view) for view in views], ensure_ascii=False, indent=2))
        return 0
    for view in views:
        place = one_line(str(view.path))
        say(f"{view.state.value:14} {view.step:>6}/{view.total_steps or '?':<6} {place}")
        for notice in view.stalls:
            say(f"{'':15}{notice.text()}")
    if not views:
        say(t("cli.no_runs", folder=str(saves())))
    return 0


def run_of(word: str) -> Path:
    """The folder of the run that is meant by its path or its name. Raises UsageError."""
    place = local(word)
    matches = [place] if (place / run_folder.RUN).is_file() else run_names.find(word)
    if len(matches) > 1:
        params = {"name": word, "paths": ", ".join(map(str, matches))}
        raise UsageError(Problem(code="run_name_ambiguous", params=params))
    if not matches:
        raise UsageError(Problem(code="no_such_run", params={"path": describe_places(word[:200])}))
    return matches[0]


def _run_and_checkpoint(word: str) -> tuple[Path, str]:
    """The run that a word means, and the checkpoint where it names one of the run's. Raises
    UsageError."""
    place = Path(word)
    is_run = (local(word) / run_folder.RUN).is_file()
    is_point = FOLDER.fullmatch(place.name) and place.parent != Path() and not is_run
    return (run_of(str(place.parent)), place.name) if is_point else (run_of(word), "")


def stop_run(options: Namespace) -> int:
    """`tuneboard runs stop RUN`. Raises UsageError."""
    return stop(run_of(options.run))


def stop(folder: Path) -> int:
    """Ask what is in a folder, a run or a group of them, to stop; returns the exit code."""
    was_running = launch.stop(folder)
    say(t("cli.stop_asked" if was_running else "cli.stop_not_needed", folder=str(folder)))
    return 0


def find_runs(options: Namespace) -> int:
    """`tuneboard runs find FOLDER`: its runs are listed from now on. Raises UsageError."""
    folder = local(options.folder)
    if not folder.is_dir():
        raise UsageError(
            Problem(code="no_such_folder", params={"path": describe_places(options.folder)})
        )
    new = launch.find_runs(folder)
    for path in new:
        say(str(path))
    say(t("cli.runs_found", count=len(new), folder=str(folder)))
    return 0


def _row(view: RunView) -> dict[str, object]:
    return {
        "path": str(view.path),
        "kind": view.task,
        "state": view.state.value,
        "reason": view.reason.text() if view.reason else None,
        "step": view.step,
        "total_steps": view.total_steps or None,
        "silence": " ".join(notice.text() for notice in view.stalls) or None,
        "created": view.created,
    }
