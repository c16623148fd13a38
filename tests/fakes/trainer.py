"""A trainer that trains nothing: writes what a real one does, stops when asked, errs when told.

Used as TUNEBOARD_WORKER="python tests/fakes/trainer.py --steps 5 ..."; the run's own words follow.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from backend.contract.runs import metrics, run_folder
from backend.contract.system.files import read_json, write_atomic
from backend.contract.texts.problems import STOPPED_EXIT, Problem


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--save-every", type=int, default=0)
    parser.add_argument("--crash-at", type=int, default=0)
    parser.add_argument("--code", type=int, default=0)
    parser.add_argument("--die", type=int, default=0)
    parser.add_argument("--problem", default="")
    parser.add_argument("--sigterm", choices=("default", "ignore"), default="default")
    parser.add_argument("--grandchild", action="store_true")
    parser.add_argument("--ignore-stop", action="store_true")
    parser.add_argument("--last-word", action="store_true")
    parser.add_argument("--last-step-waits", action="store_true", help="for a file named go")
    parser.add_argument("--leak", action="store_true")
    parser.add_argument("--log-bytes", type=int, default=0)
    parser.add_argument("--resume_from_checkpoint", type=Path)
    return parser.parse_known_args()[0]


def main() -> int:
    given, folder = arguments(), Path(os.environ["TUNEBOARD_RUN"])
    code = work(given, folder)
    if given.last_word:  # as backend.running.failures notes it
        status = read_json(folder / "status.json")
        write_atomic(folder / "status.json", run_folder.dump({**status, "exit_code": code}))
    return code


def work(given: argparse.Namespace, folder: Path) -> int:
    if given.sigterm == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if given.grandchild:  # in a session of its own, as some launchers do
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    kept, first = [], 1
    if given.resume_from_checkpoint:
        first += json.loads((given.resume_from_checkpoint / "state.json").read_text())["step"]
    for step in range(first, given.steps + 1):
        while given.last_step_waits and step == given.steps and not told(folder):
            time.sleep(0.05)
        kept.append(b"x" * 10**7 if given.leak else b"")
        sys.stdout.write(f"step {step}\n" + "." * given.log_bytes)
        sys.stdout.flush()
        metrics.append(
            folder / "metrics.jsonl", metrics.Metrics(step=step, loss=1 / step, time=step)
        )
        status = {"phase": "training", "step": step, "total": given.steps, "notices": []}
        write_atomic(folder / "status.json", run_folder.dump(status))
        if step == given.crash_at:
            return crash(given, folder)
        if given.save_every and step % given.save_every == 0:
            save(folder, step)
        if (folder / "stop.json").exists() and not given.ignore_stop:
            save(folder, step)
            return STOPPED_EXIT
        time.sleep(given.sleep)
    return given.code


def told(folder: Path) -> bool:
    """Whether a trainer that waits before its last step may go on."""
    return any((folder / name).exists() for name in ("go", "stop.json"))


def crash(given: argparse.Namespace, folder: Path) -> int:
    if given.problem:
        write_atomic(
            folder / "problem.json", run_folder.dump(Problem(code=given.problem).to_json())
        )
    if given.die:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if given.die not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(given.die, signal.SIG_DFL)
        os.kill(os.getpid(), given.die)
    return given.code


def save(folder: Path, step: int) -> None:
    target = folder / f"checkpoint-{step}"
    target.mkdir(exist_ok=True)
    (target / "state.json").write_text(json.dumps({"step": step}))
    run_folder.write_manifest(target)


if __name__ == "__main__":
    sys.exit(main())
