"""Memory and pace of the data of a run, prepared and streamed, at 1, 10 and 100 times the rows."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = 2000
READS = """
import itertools, resource, sys, time
from tests.backend.conftest import make_tokenizer
from backend.contract.arguments.arguments import resolve
from backend.data import prepare, templates

class Told:
    def notice(self, problem): pass
    def progress(self, step, total): pass

given = dict(dataset_dir="data", dataset="x", template="auto", cutoff_len=256, seed=1, stage="sft",
             streaming=sys.argv[1] == "streamed", buffer_size=1000, preprocessing_num_workers=1)
values = resolve(given)
tokenizer = make_tokenizer()
template = templates.load(values, tokenizer)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
rows = prepare.prepare_training(values, tokenizer, template, Told()).train
count = sum(1 for _ in itertools.islice(rows, int(sys.argv[2])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(count, (peak - before) / 1024, time.perf_counter() - begin)
"""


def stream() -> None:
    """Peak memory above what is loaded anyway (MB), and rows a second, read once through."""
    print(f"{'rows':>8}{'file MB':>9}{'':>10}{'MB':>8}{'rows/s':>10}")
    for times in (1, 10, 100):
        with tempfile.TemporaryDirectory() as folder:
            size = write(Path(folder), ROWS * times) / 2**20
            for how in ("streamed", "prepared"):
                count, peak, seconds = measured(folder, how, ROWS * times)
                print(f"{count:8.0f}{size:9.0f}{how:>10}{peak:8.0f}{count / seconds:10.0f}")


def write(home: Path, count: int) -> int:
    """A registered file of so many rows; returns its bytes."""
    answer = "the answer is a sentence of some length, and then another one. " * 8
    for name in ("data", "saves"):
        (home / name).mkdir()
    path = home / "data" / "x.jsonl"
    with path.open("w") as file:
        for number in range(count):
            row = {"instruction": f"question {number}", "output": f"{number} {answer}"}
            file.write(json.dumps(row) + "\n")
    registry = {"x": {"file_name": "x.jsonl"}}
    (home / "data" / "dataset_info.json").write_text(json.dumps(registry))
    return path.stat().st_size


def measured(home: str, how: str, count: int) -> tuple[float, float, float]:
    """Rows read, peak memory (MB) and seconds of a process that reads all rows once."""
    done = subprocess.run(
        [sys.executable, "-c", READS, how, str(count)],
        env={**os.environ, "TUNEBOARD_HOME": home, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    read, peak, seconds = map(float, done.stdout.split())
    return read, peak, seconds
