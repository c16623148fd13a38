"""This tree against an earlier commit: what every change must leave as fast as it was.

Both run from their own work trees with the same interpreter and packages, in turn.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.services.models.catalog import STARTER

ROOT = Path(__file__).parents[1]
ROUNDS = 5
FEW, MANY = 200, 20_000  # rows
TRAINING = (
    "--model_name_or_path",
    f"saves/models/{STARTER}",
    "--dataset",
    "x",
    "--cutoff_len",
    "64",
    "--per_device_train_batch_size",
    "1",
    "--gradient_accumulation_steps",
    "1",
    "--max_steps",
    "1",
)

Serve = Callable[[list[str], int, Path], tuple[float, float]]


def before(commit: str, serve: Serve, find_port: Callable[[], int]) -> None:
    """Print medians of a cold start, idle memory, the command's start, and the pace of its rows."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-q", str(old), commit], check=True)
        try:
            _compare([old, ROOT], Path(folder), serve, find_port)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)


def _compare(trees: list[Path], folder: Path, serve: Serve, find_port: Callable[[], int]) -> None:
    rows: dict[str, list[tuple[float, ...]]] = {}
    for number in range(ROUNDS + 1):  # the first is dropped
        starts = []
        for tree in trees:
            os.environ["PYTHONPATH"] = str(tree)
            port = find_port()
            argv = [sys.executable, "-m", "app", "--port", str(port)]
            starts.append(serve(argv, port, _make_home(folder / f"{tree.name}-page", 1)))
        for index, name in enumerate(("cold start (s)", "idle memory (MB)")):
            rows.setdefault(name, []).append(tuple(each[index] for each in starts))
        for name, argv in (("version (s)", ["version"]), ("--help (s)", ["--help"])):
            rows.setdefault(name, []).append(tuple(_run(tree, argv, folder) for tree in trees))
        if number % 2 == 0:
            rows.setdefault("rows/s", []).append(tuple(_pace(tree, folder) for tree in trees))
    print(f"{'':18}{'before':>10}{'now':>10}{'ratio':>8}")
    for name, each in rows.items():
        old, new = (statistics.median(values) for values in zip(*each[1:], strict=True))
        print(f"{name:18}{old:10.2f}{new:10.2f}{new / old:8.2f}")


def _make_home(home: Path, rows: int) -> Path:
    """A home with the starter model, and a set "x" of so many rows that were never read before."""
    shutil.rmtree(home, ignore_errors=True)
    (home / "saves" / "models").mkdir(parents=True)
    (home / "saves" / "models" / STARTER).symlink_to(ROOT / "saves" / "models" / STARTER)
    (home / "data").mkdir()
    (home / "data" / "dataset_info.json").write_text(json.dumps({"x": {"file_name": "x.json"}}))
    shipped = json.loads((ROOT / "data" / "general_en.json").read_text())
    texts = [shipped[n % len(shipped)] for n in range(rows)]
    written = [{**row, "output": f"{n} {row['output']}"} for n, row in enumerate(texts)]
    (home / "data" / "x.json").write_text(json.dumps(written))
    return home


def _run(tree: Path, argv: list[str], home: Path) -> float:
    env = {**os.environ, "PYTHONPATH": str(tree), "TUNEBOARD_HOME": str(home)}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "backend", *argv],
        cwd=home,
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def _pace(tree: Path, folder: Path) -> float:
    """Rows a second that a training of many rows reads more than one of few does."""
    seconds = []
    for rows in (FEW, MANY):
        home = _make_home(folder / f"{tree.name}-{rows}", rows)
        seconds.append(_run(tree, ["train", *TRAINING, "--output_dir", "run"], home))
    return (MANY - FEW) / (seconds[1] - seconds[0])
