"""How long pages of large data files take; `python -m tests.bench data [gigabytes]` prints it."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = "The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳过懒狗。 "
LOOK = """
import json, os, sys, time
from pathlib import Path
import psutil
from backend.datafiles import reading
from backend.datafiles import index
index.ensure = lambda files: None
path, start = Path(sys.argv[1]), int(sys.argv[2])
before = psutil.Process().memory_info().rss
began = time.perf_counter()
rows = reading.page(path, start, 10).rows
seconds = time.perf_counter() - began
print(json.dumps([seconds, (psutil.Process().memory_info().rss - before) / 2**20, len(rows)]))
"""


def rows() -> Iterator[dict[str, str]]:
    """Rows of about 1 kB, without end."""
    number = 0
    while True:
        yield {"question": f"{number}: {WORDS * 3}", "answer": WORDS * 9}
        number += 1


def write(path: Path, size: int) -> None:
    """Fill a file of a kind with `size` bytes of rows."""
    source = rows()
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
        with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as out:
            for _ in range(size // 10_000_000):
                part = [next(source) for _ in range(10_000)]
                out.write_table(pyarrow.Table.from_pylist(part, schema))
        return
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["question", "answer"])
        if path.suffix == ".csv":
            writer.writeheader()
        head = "[" if path.suffix == ".json" else ""
        while out.tell() < size:
            part = [next(source) for _ in range(10_000)]
            if path.suffix == ".csv":
                writer.writerows(part)
                continue
            mark = ",\n" if path.suffix == ".json" else "\n"
            lines = mark.join(json.dumps(row, ensure_ascii=False) for row in part)
            out.write(head + lines)
            head = mark
        if path.suffix == ".json":
            out.write("]")


def look(path: Path, start: int) -> tuple[float, float, int]:
    """(seconds, further MB of memory, rows) of one page in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(path), str(start)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory, count = json.loads(done.stdout)
    return seconds, memory, count


def run(gigabytes: float = 1.0) -> None:
    """A page at the start, the index, and a page at row 100,000, for each kind of file."""
    print(f"{gigabytes:g} GB, pages of 10 rows; seconds and further MB of memory")
    print(f"{'kind':10}{'first page':>18}{'index (s)':>12}{'row 100,000':>18}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TUNEBOARD_HOME"] = folder
        for suffix in (".json", ".jsonl", ".csv", ".parquet"):
            path = Path(folder) / f"big{suffix}"
            write(path, int(gigabytes * 1e9))
            first = look(path, 0)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", "backend.datafiles", str(path)], check=True)
            indexed = time.perf_counter() - began
            far = look(path, 100_000)
            assert (first[2], far[2]) == (10, 10)
            cells = [f"{each[0]:.3f} s {each[1]:6.1f} MB" for each in (first, far)]
            print(f"{suffix:10}{cells[0]:>18}{indexed:12.1f}{cells[1]:>18}", flush=True)
            path.unlink()
