"""Our tokenizing pool and cache against datasets.map, with the same work for each batch of rows.

The same file, template, tokenizer and functions; only who spreads the batches over processes and
keeps the result differs. Each is started twice in a new process: the second start may use what the
first has kept.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench_stream import write

ROOT = Path(__file__).parents[1]
ROWS = 10_000
WORK = """
import resource, sys, time
from tests.backend.conftest import make_tokenizer
from backend.contract.registry import dataset_info
from backend.contract.arguments.arguments import resolve
from backend.data import sources, templates, tokenize
from backend.data.examples import columns
from backend.datafiles import formats, layouts

class Told:
    def notice(self, problem): pass
    def progress(self, step, total): pass

how, workers = sys.argv[1], int(sys.argv[2])
values = resolve(dict(dataset_dir="data", dataset="x", template="auto", cutoff_len=256, seed=1,
                       stage="sft", preprocessing_num_workers=workers))
tokenizer = make_tokenizer()
template = templates.load(values, tokenizer)
work = tokenize.Preparation(values, template, Told())
begin = time.perf_counter()
if how == "ours":
    (source,) = sources.open_sources(values, "dataset")
    rows = tokenize.tokenize_source(work, source).rows
else:
    from datasets import load_dataset
    raw = load_dataset("json", data_files="data/x.jsonl", split="train")
    entry = dataset_info.find("x", "data")
    read = formats.reader(layouts.layout(entry, raw[0], ("x.jsonl", 1)))
    maker = work.maker()

    def make(batch, places):
        batch_rows = [dict(zip(batch, row)) for row in zip(*batch.values())]
        numbered = [(place, read(row)) for place, row in zip(places, batch_rows)]
        examples = maker(numbered).examples
        return {name: [one[name] for one in examples] for name in columns("sft")}

    rows = raw.map(make, batched=True, batch_size=work.batch_size(), with_indices=True,
                   num_proc=workers if workers > 1 else None, remove_columns=raw.column_names)
seconds = time.perf_counter() - begin
who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
peak = max(resource.getrusage(one).ru_maxrss for one in who)
print(len(rows), seconds, peak / 1024)
"""


def tokenize() -> None:
    """Seconds of the first and the second start, and peak memory of the largest process (MB)."""
    print(f"{'':>10}{'workers':>9}{'first s':>9}{'second s':>10}{'MB':>7}")
    for workers in (1, 2):
        for how in ("ours", "map"):
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), ROWS)
                first, second = (_measure(folder, how, workers) for _ in range(2))
            peak = max(first[1], second[1])
            print(f"{how:>10}{workers:9}{first[0]:9.1f}{second[0]:10.1f}{peak:7.0f}")


def _measure(home: str, how: str, workers: int) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", WORK, how, str(workers)],
        cwd=home,
        env={
            **os.environ,
            "TUNEBOARD_HOME": home,
            "PYTHONPATH": str(ROOT),
            "HF_HOME": f"{home}/hub",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    rows, seconds, peak = map(float, done.stdout.split())
    assert rows == ROWS
    return seconds, peak
