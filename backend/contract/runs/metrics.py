"""The metrics of a run: lines of metrics.jsonl, appended one by one, read from a byte offset."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.contract.system import boundary

TAIL_BYTES = 8192
LOSS_BYTES = 512  # of the end of the file, in which the newest loss mostly lies


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics of one step; None where one was not measured at this step."""

    step: int
    epoch: float | None = None
    loss: float | None = None  # mean over the learned tokens since the last line
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens: int | None = None  # processed since the start of the run, padding not counted
    tokens_per_second: float | None = None
    memory: int | None = None  # bytes: peak of the GPU, else resident memory of the process
    disk_free: int | None = None  # bytes of the disk that holds the run
    checkpoints: int | None = None  # bytes that the checkpoints of the run take
    time: float | None = None  # seconds of training since the start of the run
    more: Mapping[str, float] = field(default_factory=dict)  # of one stage, such as kl


NAMES = tuple(each.name for each in dataclasses.fields(Metrics) if each.name != "more")
WORDS = ("nan", "inf", "-inf")  # JSON has no numbers for these


def append(path: Path, row: Metrics) -> None:
    """Append a line with one write. A torn line that a crash has left is ended first."""
    line = encode(row)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, b"\n" + line if torn else line)
    finally:
        os.close(handle)


def encode(row: Metrics) -> bytes:
    """The metrics as a line of metrics.jsonl."""
    every = {name: getattr(row, name) for name in NAMES} | dict(row.more)
    numbers = {name: plain_number(value) for name, value in every.items() if value is not None}
    return json.dumps(numbers).encode() + b"\n"


def read(path: Path, offset: int = 0) -> tuple[list[Metrics], int]:
    """The complete lines from `offset` (bytes) on, and the offset for the next read.

    A torn last line is left for the next read; foreign lines are left out. A file that is shorter
    than `offset` was written anew and is read from its start.
    """
    try:
        with open(path, "rb", opener=boundary.open_own) as file:
            if offset > os.fstat(file.fileno()).st_size:
                offset = 0
            file.seek(offset)
            content = file.read()
    except OSError:
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    rows = [build(row) for line in whole.splitlines() if (row := parse(line)) is not None]
    return rows, offset + len(whole)


def last(path: Path) -> list[Metrics]:
    """The newest metrics, from the last TAIL_BYTES of the file."""
    try:
        size = path.stat().st_size
    except OSError:
        return []
    return read(path, max(0, size - TAIL_BYTES))[0]


def newest_loss(path: Path) -> float | None:
    """The newest training loss, looked for from the end of the file; None where there is none."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    tail = LOSS_BYTES
    while True:
        rows, _ = read(path, max(0, size - tail))
        losses = [row.loss for row in rows if row.loss is not None]
        if losses or tail >= size:
            return losses[-1] if losses else None
        tail *= 8


def seconds_per_step(path: Path) -> float:
    """Seconds between the two newest steps; 0.0 where there are fewer than two."""
    timed = [(row.step, row.time) for row in last(path) if row.time is not None]
    if not timed:
        return 0.0
    step, time = timed[-1]
    before = next(((s, t) for s, t in reversed(timed) if s < step), None)
    return max(0.0, (time - before[1]) / (step - before[0])) if before else 0.0


def plain_number(value: float) -> float | str:
    """A number as JSON can hold it: one of WORDS where it is not finite."""
    return value if math.isfinite(value) else str(value)


def parse(line: bytes) -> dict[str, object] | None:
    """The row in a line as it is in the file; None for a line that is torn or foreign."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(content, dict) and type(content.get("step")) is int
    return content if is_row else None


def build(content: Mapping[str, object]) -> Metrics:
    """The metrics in a row; what is no number there counts as not measured."""
    numbers = {name: to_number(value) for name, value in content.items()}
    known = {name: numbers.pop(name, None) for name in NAMES}
    more = {name: value for name, value in numbers.items() if value is not None}
    return Metrics(**known, more=more)  # type: ignore[arg-type]


def to_number(value: object) -> float | None:
    """A value of a row as a number, which may be none or infinite; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return float(str(value)) if value in WORDS else None
