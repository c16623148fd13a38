"""A run's folder: the names of its files, how it is made, and how it is read.

Each file has one writer (DESIGN.md, section 4). Readers take torn and foreign content as absent.
"""

import datetime
import fcntl
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backend.contract import metrics, processes
from backend.contract.arguments import to_yaml
from backend.contract.checkpoints import (
    MANIFEST,
    Checkpoint,
    checkpoints,
    damaged,
    verify,
    write_manifest,
)
from backend.contract.command import Command
from backend.contract.field import Value
from backend.contract.fields import FIELDS
from backend.contract.files import dump, read_json, write_atomic
from backend.contract.home import home, saves
from backend.contract.names import check_name, check_output_dir
from backend.contract.problems import Problem, RunFolderError
from backend.contract.states import Facts, State, state

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "RunView",
    "State",
    "check_name",
    "check_output_dir",
    "checkpoints",
    "create",
    "damaged",
    "dump",
    "exit_code",
    "read",
    "request_stop",
    "runs",
    "verify",
    "write_manifest",
]

SCHEMA = 1
RUN = "run.json"
ARGUMENTS = "args.yaml"
COMMAND = "command.sh"
LAUNCH = "launch.json"
LOG = "log.txt"
SUPERVISOR_LOG = "supervisor.log"  # its time of change is when the run was launched
METRICS = "metrics.jsonl"
STATUS = "status.json"
STOP = "stop.json"
EXIT = "exit.json"
PROBLEM = "problem.json"
LOCK = ".lock"
ATTEMPTS = "attempts"
TRASH = ".trash"
PACKAGES = ("tuneboard", "torch", "transformers", "peft", "datasets", "accelerate")
MIN_GRACE, STEPS, MARGIN = 60.0, 3, 30.0  # a graceful stop: seconds, steps, seconds


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as the lists and panels show it."""

    path: Path
    name: str
    model: str
    method: str
    task: str
    created: str  # ISO time
    sequence: int  # order of creation, whatever the clock did
    state: State
    reason: Problem | None
    step: int = 0
    total_steps: int = 0
    eta: float | None = None  # seconds
    elapsed: float | None = None  # seconds since the launch, or that the run took
    phase: str = ""
    notices: tuple[Problem, ...] = ()
    arguments: Mapping[str, Value] = field(default_factory=dict)
    argv: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the run is over, one way or another."""
        return self.state.ended

    @property
    def unsupervised(self) -> bool:
        """Whether the child goes on and its supervisor is gone."""
        return self.reason is not None and self.reason.code == "run_unsupervised"


def create(
    path: Path, *, task: str, values: Mapping[str, Value], command: Command, sequence: int = 0
) -> None:
    """Make the folder of a run and what the launcher writes once; exclusively, or not at all.

    An empty folder may be used. One that holds anything is refused with RunFolderError, unless it
    is an ended run of ours and the values say to overwrite it (it goes to the trash) or to resume
    in it (what it wrote goes to attempts/). Secrets reach no file.
    """
    problem = check_output_dir(str(path))
    if problem:
        raise RunFolderError(problem)
    try:
        _make_way(path, values)
        with _exclusive(path):
            _write(path, task, values, command, sequence)
    except OSError as error:
        params = {"path": str(path), "reason": error.strerror or str(error)}
        raise RunFolderError(
            Problem(code="output_dir_failed", field="output_dir", params=params)
        ) from error


def _make_way(path: Path, values: Mapping[str, Value]) -> None:
    """Move an ended run aside where that was asked for; RunFolderError where it may not be moved."""
    resume = str(values.get("resume_from_checkpoint") or "").lower() not in {"", "false"}
    if not (resume or values.get("overwrite_output_dir")) or not _holds_anything(path):
        return
    if path.is_symlink() or not read_json(path / RUN):
        raise _in_use("output_dir_foreign", path)
    if not read(path).ended:
        raise _in_use("output_dir_running", path)
    if resume:
        archive(path, RUN, ARGUMENTS, COMMAND, LAUNCH, STATUS, STOP, PROBLEM, LOCK, EXIT)
        return
    trash = (saves() if path.is_relative_to(saves()) else path.parent) / TRASH
    trash.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.rename(path, _free(trash, f"{path.name}-"))


def archive(path: Path, *names: str) -> None:
    """Move files of an ended attempt to attempts/N/, in this order (exit.json last)."""
    (path / ATTEMPTS).mkdir(mode=0o700, exist_ok=True)
    target = _free(path / ATTEMPTS)
    target.mkdir(mode=0o700)
    for name in names:
        if (path / name).exists():
            os.rename(path / name, target / name)


def _free(parent: Path, prefix: str = "") -> Path:
    number = 1
    while (parent / f"{prefix}{number}").exists():
        number += 1
    return parent / f"{prefix}{number}"


def _holds_anything(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _resumable(path: Path) -> bool:
    """Whether a run was moved aside here just now, to go on in the same folder."""
    return (path / ATTEMPTS).is_dir() and not (path / RUN).exists()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """The folder for us alone; what was made goes again if the block fails."""
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.is_dir() or (_holds_anything(path) and not _resumable(path)):
                raise _in_use("output_dir_in_use", path) from None
        _claim(path)
        try:
            path.chmod(0o700)
            yield
        except BaseException:
            for name in (RUN, ARGUMENTS, COMMAND, LOCK):
                (path / name).unlink(missing_ok=True)
            raise
    except BaseException:
        for each in made:
            if not _removed(each):
                break
        raise


def _claim(path: Path) -> None:
    """One of several that found the folder empty gets it."""
    try:
        os.close(os.open(path / LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise _in_use("output_dir_in_use", path) from None


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _in_use(code: str, path: Path) -> RunFolderError:
    return RunFolderError(Problem(code=code, field="output_dir", params={"path": str(path)}))


def _write(
    path: Path, task: str, values: Mapping[str, Value], command: Command, sequence: int
) -> None:
    secret = {name for name, row in FIELDS.items() if row.secret}
    row = {
        "schema": SCHEMA,
        "kind": task,
        "arguments": {name: value for name, value in values.items() if name not in secret},
        "argv": list(command.argv),
        "home": str(home()),
        "versions": _versions(),
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "sequence": sequence,
        "token": uuid.uuid4().hex,
    }
    write_atomic(path / ARGUMENTS, to_yaml(values, task))
    write_atomic(path / COMMAND, f"#!/bin/sh\n{command.shell(width=80)}\n")
    (path / COMMAND).chmod(0o755)
    write_atomic(path / RUN, dump(row))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read(path: Path) -> RunView:
    """The run in a folder as it stands now. Never raises: what cannot be read is left out."""
    row = read_json(path / RUN)
    where, reason = _state(path, row)
    status = read_json(path / STATUS)
    step = _whole(status.get("step")) or _last_step(path)
    arguments = row.get("arguments")
    argv = row.get("argv")
    return RunView(
        path=path,
        name=path.name,
        model=path.parent.parent.name,
        method=path.parent.name,
        task=str(row.get("kind", "")),
        created=str(row.get("created", "")),
        sequence=_whole(row.get("sequence")),
        state=where,
        reason=reason,
        step=step,
        total_steps=_whole(status.get("total")) or (step if where.ended else 0),
        eta=None if where.ended else _number(status.get("eta")),
        elapsed=_elapsed(path, where),
        phase=str(status.get("phase", "")),
        notices=_notices(status),
        arguments=arguments if isinstance(arguments, dict) else {},
        argv=tuple(map(str, argv)) if isinstance(argv, list) else (),
    )


def _state(path: Path, row: Mapping[str, object]) -> tuple[State, Problem | None]:
    token = str(row.get("token", ""))

    def alive(process: processes.Process) -> bool:
        child = processes.Process.from_json(facts.launch.get("child"))
        return processes.alive(process, token if process == child else "")

    facts = _facts(path)
    found = state(facts, processes.boot_id(), alive)
    if found[0].ended and not facts.exit:
        # The supervisor may have written exit.json and gone between the two looks.
        facts = _facts(path)
        found = state(facts, processes.boot_id(), alive)
    return found


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
        stop=(path / STOP).exists(),
        age=age,
    )


def _elapsed(path: Path, where: State) -> float | None:
    if where.ended:
        return _number(read_json(path / EXIT).get("seconds"))
    began = _number(read_json(path / LAUNCH).get("uptime"))
    return None if began is None else max(0.0, processes.uptime() - began)


def _notices(status: Mapping[str, object]) -> tuple[Problem, ...]:
    rows = status.get("notices")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return tuple(Problem.from_json(row) for row in found)


def _last_step(path: Path) -> int:
    rows = metrics.last(path / METRICS)
    return rows[-1].step if rows else 0


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def runs(root: Path) -> list[RunView]:
    """All runs under saves/<model>/<method>/<name>/, the newest first."""
    found = [
        read(file.parent)
        for file in root.glob("[!.]*/[!.]*/[!.]*/run.json")
        if file.relative_to(root).parts[0] != "models"
    ]
    return sorted(found, key=lambda view: (view.sequence, view.created), reverse=True)


def exit_code(path: Path) -> int:
    """The exit code of an ended run: the child's, 128 + n where signal n ended it, else 1."""
    row = read_json(path / EXIT)
    if isinstance(row.get("signal"), int):
        return 128 + _whole(row["signal"])
    return _whole(row["code"]) if isinstance(row.get("code"), int) else 1


def request_stop(path: Path, grace: float | None = None) -> bool:
    """Ask a run to save and end; after `grace` seconds the supervisor ends it by force.

    True for the one request that counts: False where a stop was asked before, or the run has ended.
    """
    if (path / EXIT).exists():
        return False
    if grace is None:
        pace = metrics.seconds_per_step(path / METRICS)
        grace = max(MIN_GRACE, STEPS * pace + MARGIN)
    try:
        handle = os.open(path / STOP, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(handle, dump({"grace": grace, "uptime": processes.uptime()}))
    finally:
        os.close(handle)
    return True


def hold(path: Path, seconds: float = 0.0) -> int | None:
    """Lock a file for the life of this process; None where another one holds it all that time."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    limit = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                os.close(handle)
                return None
            time.sleep(0.02)
        else:
            return handle


def remove(path: Path) -> None:
    """Take back a folder that create() has just made: nothing has run in it."""
    if _resumable(path) or (path / ATTEMPTS).exists():
        for name in (RUN, ARGUMENTS, COMMAND, LOCK, SUPERVISOR_LOG):
            (path / name).unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
