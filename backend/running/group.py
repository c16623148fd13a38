"""A training on several devices: torchrun starts a worker for each, and we pass on how they ended.

`python -m backend.running.group N train --...` is what the supervisor starts. torchrun by itself
ends with 1 whatever happened; here the exit code (or signal) is that of the worker that failed
first. The code is noted in status.json, for when no supervisor is left to see it.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from backend.running.failures import note_code

ADDRESS = "127.0.0.1"  # one machine: its own name need not resolve


def main(argv: Sequence[str]) -> int:
    """Run the workers; returns the exit code. `argv` is their number and the command's words."""
    count, *words = argv
    os.environ["PYTHONSAFEPATH"] = "1"  # a folder named backend where we stand is not ours
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(count))))
    options = ["--nproc-per-node", count, "--local-addr", ADDRESS]
    options += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESS}:0"]
    try:
        run.run(run.parse_args([*options, "-m", "backend", *words]))
    except ChildFailedError as error:
        code = _as_child(list(error.failures.values()))
        note_code(code, Path(os.environ["TUNEBOARD_RUN"]))
        return code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _as_child(failures: list[ProcessFailure]) -> int:
    """End as the worker did that failed first.

    Others fail at once for want of it, with a plain 1, or are ended by torchrun: its own code is
    the one that says most.
    """
    vague = {1: 1, -signal.SIGTERM: 2}
    first = min(failures, key=lambda each: (vague.get(each.exitcode, 0), each.timestamp))
    if first.exitcode < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-first.exitcode, signal.SIG_DFL)
        os.kill(os.getpid(), -first.exitcode)
    return int(first.exitcode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
