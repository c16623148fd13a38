"""The outermost edge of a worker process: exception -> Problem, problem.json, log and exit code.

No torch in here: its errors are recognized by name and text.
"""

import errno
import json
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.runs import memory, run_folder
from backend.contract.runs.states import DONE
from backend.contract.system.files import read_json, write_atomic
from backend.contract.texts.problems import (
    STOPPED_EXIT,
    DiskFullError,
    OutOfMemoryError,
    Problem,
    TuneboardError,
)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_TEXT = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|os error (28|122|27)\b"
    r"|PytorchStreamWriter failed writing|basic_ios::clear: iostream error"
)
NO_ROW = "index out of range in self"  # torch.nn.Embedding on a CPU
MEMORY_TEXT = re.compile(
    r"out of memory|can't allocate memory|not enough memory|Cannot allocate memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The work ended early because the person asked for it, and saved what it had."""


def run_worker(work: Callable[[], None], folder: Path) -> int:
    """Do the work of a run in this process; returns the exit code.

    A failure becomes problem.json in the folder and a traceback in the log. The code is noted in
    status.json, too, for when nobody is left to see this process end. SIGTERM asks for the
    same graceful stop as stop.json does; in a group of processes it ends this one at once, which
    may wait for another that is gone. A failure in a group is noted by what started it: this one
    may have failed only because another was gone.
    """
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", stream=sys.stderr)
    warnings.filterwarnings("ignore", category=FutureWarning)  # between libraries, not for people
    if "RANK" not in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: run_folder.request_stop(folder))
    code = _exit_code_of(work, folder)
    if "RANK" not in os.environ or (os.environ["RANK"] == "0" and code in DONE):
        note_code(code, folder)
    return code


def _exit_code_of(work: Callable[[], None], folder: Path) -> int:
    try:
        work()
    except (Stopped, KeyboardInterrupt):
        logger.info("stopped as asked")
        return STOPPED_EXIT
    except Exception as error:
        failure = explain(
            error, Arguments.from_known(read_json(folder / run_folder.RUN).get("arguments"))
        )
        if not isinstance(error, TuneboardError):
            logger.exception("the work failed")
        _record(failure, folder)
        return failure.exit_code
    return 0


def note_code(code: int, folder: Path) -> None:
    """Write the exit code into status.json, as the last word: the work is over, all is saved."""
    status = {**read_json(folder / run_folder.STATUS), "exit_code": code}
    try:
        write_atomic(folder / run_folder.STATUS, json.dumps(status))
    except OSError as error:
        logger.error("status.json could not be written: %s", error)  # noqa: TRY400


def explain(error: BaseException, values: Arguments) -> TuneboardError:
    """The error in terms that the person can act on, given the arguments of the run."""
    if isinstance(error, TuneboardError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(_memory_problem(values))
    if is_disk_full(error):
        return DiskFullError(Problem(code="disk_full_somewhere", params={"reason": _line(error)}))
    if isinstance(error, IndexError) and str(error) == NO_ROW:
        return TuneboardError(Problem(code="embedding_row_missing"))
    params = {"type": type(error).__name__, "reason": _line(error)}
    return TuneboardError(Problem(code="unexpected", params=params))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether GPU or main memory was full."""
    return any(
        isinstance(each, MemoryError)
        or type(each).__name__ == "OutOfMemoryError"
        or (isinstance(each, RuntimeError | OSError) and MEMORY_TEXT.search(str(each)) is not None)
        for each in _chain(error)
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of room; some libraries only say so in their text."""
    return any(
        (isinstance(each, OSError) and each.errno in FULL) or FULL_TEXT.search(str(each))
        for each in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__


def _memory_problem(values: Arguments) -> Problem:
    """What to try next; only a training has a batch size."""
    if "per_device_train_batch_size" not in values:
        return Problem(code="out_of_memory")
    return memory.explain(values)


def _record(failure: TuneboardError, folder: Path) -> None:
    """Log the problems and write problem.json, unless another process of the group has done so."""
    for each in failure.problems:
        logger.error("%s", each.text())
    if "RANK" in os.environ and (folder / run_folder.PROBLEM).exists():
        return  # another process of the group failed first, and this one for want of it
    problem = failure.problems[0] if failure.problems else Problem(code="unknown")
    more = [each.to_json() for each in failure.problems[1:]]
    content = {**problem.to_json(), **({"more": more} if more else {})}
    try:
        write_atomic(folder / run_folder.PROBLEM, json.dumps(content, ensure_ascii=False))
    except OSError as error:  # the disk may be full; the log has it all
        logger.error("problem.json could not be written: %s", error)  # noqa: TRY400


def _line(error: BaseException) -> str:
    """The first meaningful line of an error's text, short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else repr(error))[:300]
