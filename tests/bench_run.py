"""Following a run, short or long: what a question of its panel costs, and how much is answered.

The run has rows of metrics and a log of LOG_BYTES. Between two questions it gets a row and a few
lines, as one that logs every second does; we pass for its supervisor.
"""

import json
import os
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import psutil

from backend.contract.arguments import arguments
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from tests.e2e.conftest import Server

LOG_BYTES = 50_000_000
POLLS = 200
LINE = b"2026-11-29 12:00:00 INFO step %d: loss 1.2345, 236 tokens/s, 3.1 GB\n"


def follow(server: Server, home: Path, rows: int = 100_000) -> dict[str, float]:
    """Print and return what the first answer about a run that is made in `home` costs, and what
    each later one does: milliseconds of the server's processor, and kB."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    folder = make_run(home, rows)
    before, start = _seconds(process), time.perf_counter()
    known = _ask(server, folder, {})
    figures = {
        "first_ms": 1000 * (time.perf_counter() - start),
        "first_cpu_ms": 1000 * (_seconds(process) - before),
        "first_kb": known.size / 1000,
    }
    sizes, before = [], _seconds(process)
    for step in range(rows + 1, rows + POLLS + 1):
        log_step(folder, step)
        known = _ask(server, folder, known.cursors)
        sizes.append(known.size)
    figures["poll_cpu_ms"] = 1000 * (_seconds(process) - before) / POLLS
    figures |= {"poll_kb": statistics.median(sizes) / 1000, "most_kb": max(sizes) / 1000}
    words = ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
    print(f"a run of {rows:,} rows: {words}")
    return figures


def repeat(server: Server, home: Path, sizes: tuple[int, ...], rounds: int) -> None:
    """Follow runs of these sizes in turn; medians, and all figures as JSON."""
    table: dict[str, list[dict[str, float]]] = {f"{size}": [] for size in sizes}
    for size in _list_turns(sizes, rounds):
        table[f"{size}"].append(follow(server, home, size))
    for name, each in table.items():
        medians = {key: statistics.median(row[key] for row in each) for key in each[0]}
        words = ", ".join(f"{key} {value:.1f}" for key, value in medians.items())
        print(f"{int(name):,} rows, median of {rounds}: {words}")
    print(json.dumps({"bench": "look", **table}))


def _list_turns(sizes: tuple[int, ...], rounds: int) -> Iterator[int]:
    for _ in range(rounds):
        yield from sizes


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


def make_run(home: Path, rows: int, log_bytes: int = LOG_BYTES) -> Path:
    """A run that goes on, with so many rows of metrics."""
    parent = home / "saves" / "model" / "lora"
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"long-{rows}-{len([*parent.iterdir()])}"
    folder.mkdir()
    row = {"kind": "train", "arguments": arguments.defaults("train"), "argv": []}
    (folder / run_folder.RUN).write_text(json.dumps(row, default=str))
    going = {
        "boot_id": processes.boot_id(),
        "supervisor": processes.identify(os.getpid()).to_json(),
    }
    (folder / run_folder.LAUNCH).write_text(json.dumps(going))
    (folder / run_folder.METRICS).write_bytes(b"".join(map(_row, range(1, rows + 1))))
    lines = log_bytes // len(LINE % rows)
    (folder / run_folder.LOG).write_bytes(b"".join(LINE % step for step in range(lines)))
    return folder


def log_step(folder: Path, step: int) -> None:
    """The run writes what it writes after a step."""
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
