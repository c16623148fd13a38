"""The files of a run folder by name, and the index of the runs outside saves/<model>/<method>/.

Each file has one writer (docs/architecture.md, "The run folder"). The supervisor uses this module,
so it imports the standard library only.

The index is saves/.places: a path on each line, relative to the working folder where it lies
inside. A path that is missing, unreadable or no run is skipped; `find` rebuilds the index from the
run folders. Only the process that holds the lock of launches writes it
(backend.contract.launching.launch).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from backend.contract.runs import metrics
from backend.contract.system import processes
from backend.contract.system.files import dump, read_json, write_atomic

RUN = "run.json"
ARGUMENTS = "args.yaml"
COMMAND = "command.sh"
LAUNCH = "launch.json"
LOG = "log.txt"
SUPERVISOR_LOG = "supervisor.log"  # its modification time is the time of the launch
METRICS = "metrics.jsonl"
STATUS = "status.json"
STOP = "stop.json"
EXIT = "exit.json"
PROBLEM = "problem.json"
NOTIFIED = "notified.json"  # what could not be sent about the run
RESULTS = "all_results.json"  # the final metrics of a finished run
LOCK = ".lock"
ATTEMPTS = "attempts"
TRASH = ".trash"

MIN_GRACE, STEPS, MARGIN = 60.0, 3, 30.0  # a graceful stop: seconds, steps, seconds


def request_stop(path: Path, grace: float | None = None) -> bool:
    """Ask a run to save and end. After `grace` seconds the supervisor ends it by force.

    Returns True for the first request only: False where a stop was requested before or the run has
    ended. The default grace is the time of STEPS steps, at least MIN_GRACE seconds.
    """
    if (path / EXIT).exists():
        return False
    if grace is None:
        grace = max(MIN_GRACE, STEPS * metrics.seconds_per_step(path / METRICS) + MARGIN)
    try:
        handle = os.open(path / STOP, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(handle, dump({"grace": grace, "uptime": processes.uptime()}))
    finally:
        os.close(handle)
    return True


def exit_code(path: Path) -> int:
    """The exit code of an ended run: the child's, 128 + n where signal n ended it, else 1.

    Where a signal came after the child had saved everything, or nobody saw the end, it is the code
    that the child noted in status.json.
    """
    row = read_json(path / EXIT)
    code, number = row.get("code"), row.get("signal")
    if isinstance(code, int):
        return code
    noted = noted_exit_code(path)
    if noted is not None:
        return noted
    return 128 + number if isinstance(number, int) else 1


def noted_exit_code(path: Path) -> int | None:
    """The exit code that the child noted in status.json at its end; None where there is none.

    It is there even where the supervisor was killed before it wrote exit.json.
    """
    return read_exit_code(read_json(path / STATUS))


def read_exit_code(status: Mapping[str, object]) -> int | None:
    """As `noted_exit_code`, from the content of status.json."""
    code = status.get("exit_code")
    return code if type(code) is int else None


FILE = ".places"
MAX_BYTES = 1_000_000
DEPTH = 6  # folders below the one that is searched
NOT_RUNS = "models"  # folder of saves/ that holds base models and results of exports


def list_runs(saves: Path) -> list[Path]:
    """The run folders of the index that exist now, each once."""
    return [place for place in list_places(saves) if _is_run(place)]


def add(saves: Path, folder: Path) -> None:
    """Add a run to the index, unless it lies in its standard place in saves/.

    Runs that were removed are dropped; one on a disk that is not mounted stays. Raises OSError.
    """
    folder = Path(os.path.normpath(folder))
    if is_standard(saves, folder):
        return
    before = list_places(saves)
    paths = [each for each in before if _is_run(each) or not os.path.isdir(each.parent)]
    if folder not in paths:
        paths.append(folder)
    if paths != before:
        saves.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{_format(each, saves)}\n" for each in paths)
        write_atomic(saves / FILE, lines.encode("utf-8", "surrogateescape"))


def find(folder: Path) -> Iterator[Path]:
    """The run folders in `folder`, itself included; links and hidden folders are not followed."""
    depth = len(folder.parts)
    for place, names, files in os.walk(folder):
        if RUN in files and _is_run(Path(place)):
            yield Path(place)
            names.clear()
        deep = len(Path(place).parts) - depth >= DEPTH
        names[:] = [] if deep else [name for name in names if not name.startswith(".")]


def is_standard(saves: Path, folder: Path) -> bool:
    """Whether a run folder is saves/<model>/<method>/<name>, which needs no entry."""
    if not folder.is_relative_to(saves):
        return False
    parts = folder.relative_to(saves).parts
    return len(parts) == 3 and parts[0] != NOT_RUNS and not any(p.startswith(".") for p in parts)


def list_places(saves: Path) -> list[Path]:
    """Every path of the index, whether it exists or not. A torn line counts as a path."""
    try:
        with (saves / FILE).open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError:
        return []
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    paths = (saves.parent / line for line in lines if line.strip() and "\0" not in line)
    return list(dict.fromkeys(paths))


def _format(folder: Path, saves: Path) -> str:
    inside = folder.is_relative_to(saves.parent)
    return str(folder.relative_to(saves.parent) if inside else folder)


def _is_run(folder: Path) -> bool:
    return os.path.isfile(folder / RUN)
