"""Following a long run: what a question of its panel costs the server, and how much it answers.

The run has ROWS rows of metrics and a log of LOG_BYTES. Between two questions it gets a row and a
few lines, as one that logs every second does; we pass for its supervisor.
"""

import json
import os
import statistics
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import psutil

from backend.contract.arguments import arguments
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from tests.e2e.conftest import Server

ROWS = 100_000
LOG_BYTES = 50_000_000
POLLS = 200
LINE = b"2026-11-29 12:00:00 INFO step %d: loss 1.2345, 236 tokens/s, 3.1 GB\n"


def follow(server: Server, home: Path) -> None:
    """Print the first answer of a run that is made in `home`, and what each later one costs."""
    folder = _make_run(home)
    known = _ask(server, folder, {})
    print(f"a run of {ROWS:,} rows, first answer {known.size / 1000:.0f} kB")
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    sizes, before = [], _seconds(process)
    for step in range(ROWS + 1, ROWS + POLLS + 1):
        _log(folder, step)
        known = _ask(server, folder, known.cursors)
        sizes.append(known.size)
    spent = 1000 * (_seconds(process) - before) / POLLS
    print(f"a poll {statistics.median(sizes) / 1000:.1f} kB, at most {max(sizes) / 1000:.1f} kB")
    print(f"a poll {spent:.1f} ms of the server's time")


class _Answer:
    """The bytes of an answer, and what the next question sends back of it."""

    def __init__(self, content: bytes, before: dict[str, str]) -> None:
        answer = json.loads(content)
        parts = {name: answer[name]["cursor"] for name in ("metrics", "log") if name in answer}
        self.size = len(content)
        self.cursors = {**before, "stamp": answer["stamp"], **parts}


def _ask(server: Server, folder: Path, known: dict[str, str]) -> _Answer:
    series = [("series", name) for name in ("loss", "eval_loss")]
    query = urlencode([("run", str(folder)), *known.items(), *series])
    with urllib.request.urlopen(f"{server.url}/own/run?{query}") as response:
        return _Answer(response.read(), known)


def _make_run(home: Path) -> Path:
    folder = home / "saves" / "model" / "lora" / "long"
    folder.mkdir(parents=True)
    row = {"kind": "train", "arguments": arguments.defaults("train"), "argv": []}
    (folder / run_folder.RUN).write_text(json.dumps(row, default=str))
    going = {
        "boot_id": processes.boot_id(),
        "supervisor": processes.identify(os.getpid()).to_json(),
    }
    (folder / run_folder.LAUNCH).write_text(json.dumps(going))
    (folder / run_folder.METRICS).write_bytes(b"".join(map(_row, range(1, ROWS + 1))))
    lines = LOG_BYTES // len(LINE % ROWS)
    (folder / run_folder.LOG).write_bytes(b"".join(LINE % step for step in range(lines)))
    return folder


def _log(folder: Path, step: int) -> None:
    with (folder / run_folder.METRICS).open("ab") as file:
        file.write(_row(step))
    with (folder / run_folder.LOG).open("ab") as file:
        file.write(3 * (LINE % step))


def _row(step: int) -> bytes:
    row = Metrics(
        step=step,
        epoch=step / 1000,
        loss=1 + 1000 / step,
        learning_rate=1e-4,
        grad_norm=1.0,
        tokens=500 * step,
        tokens_per_second=236.0,
        memory=3 * 2**30,
        time=float(step),
    )
    return metrics.encode(row)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
