"""Reading a JSON file: our reader against json.load and datasets.load_dataset."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench_data import write

ROOT = Path(__file__).parents[1]
SIZE = 200_000_000  # bytes
READ = """
import resource, sys, time
from pathlib import Path
how, path = sys.argv[1], Path("rows" + sys.argv[2])
if how == "ours":
    from backend.datafiles import reading
elif how == "datasets":
    import datasets
else:
    import json
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
if how == "ours":
    seen = reading.rows(path)
elif how == "datasets":
    seen = iter(datasets.load_dataset("json", data_files=str(path), split="train"))
elif path.suffix == ".json":
    seen = iter(json.loads(path.read_bytes()))
else:
    seen = map(json.loads, path.open())
next(seen)
first = time.perf_counter() - begin
count = 1 + sum(1 for _ in seen)
seconds = time.perf_counter() - begin
print(count, first, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def readers() -> None:
    """Seconds to the first row and to the last, and memory above what importing takes (MB)."""
    print(f"{SIZE / 1e6:.0f} MB{'first row s':>18}{'all rows s':>12}{'MB':>7}")
    for suffix in (".json", ".jsonl"):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / f"rows{suffix}", SIZE)
            counts = set()
            for how in ("ours", "json", "datasets"):
                count, first, seconds, peak = _measure(folder, how, suffix)
                counts.add(count)
                print(f"{suffix:>7} {how:>9}{first:8.2f}{seconds:12.1f}{peak:7.0f}")
            assert len(counts) == 1


def _measure(folder: str, how: str, suffix: str) -> tuple[float, float, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", READ, how, suffix],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": f"{folder}/hub"},
        capture_output=True,
        text=True,
        check=True,
    )
    count, first, seconds, peak = map(float, done.stdout.split())
    return count, first, seconds, peak
