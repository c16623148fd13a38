"""Our training, DPO and merge beside hand-written floors: in turn, on one core, as ratios.

Whole commands with their defaults; a first run of both is dropped. Nothing here is an assertion.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from app.services.models.catalog import STARTER
from backend.contract.arguments.command import Command
from backend.contract.runs import metrics

ROOT = Path(__file__).parents[1]
ROUNDS = 3
SHARED = {
    "model_name_or_path": str(ROOT / "saves" / "models" / STARTER),
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "cutoff_len": 512,
    "logging_steps": 1,
    "save_strategy": "no",
}
TRAIN = {**SHARED, "dataset": "general_en", "max_steps": 12}
DPO = {
    **SHARED,
    "stage": "dpo",
    "dataset": "preference_en",
    "max_samples": 16,
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 2,
}

Figures = dict[str, float]


def train(rounds: float = ROUNDS) -> None:
    """SFT of a LoRA: tokens a second from the second step on (padding not counted), peak memory;
    also in bf16, which the starter model, stored in float32, does not take by itself on a CPU."""

    def ours(home: Path, **more: Any) -> Figures:
        rows = _run("train", {**TRAIN, **more, "output_dir": str(home / "saves" / "run")}, home)
        first, last = rows[0], rows[-1]
        rate = ((last.tokens or 0) - (first.tokens or 0)) / ((last.time or 0) - (first.time or 0))
        return {"tokens_per_second": rate, **_peak(home)}

    def floor(home: Path) -> Figures:
        return _floor("train", {**TRAIN, "output_dir": str(home / "floor")}, home)

    def in_bf16(home: Path) -> Figures:
        return ours(home, bf16=True)

    _compare("train", ours, floor, int(rounds), **{"bf16 true": in_bf16})


def dpo(rounds: float = ROUNDS) -> None:
    """DPO over three epochs: pairs a second, peak memory."""
    pairs = float(DPO["max_samples"]) * float(DPO["num_train_epochs"])

    def ours(home: Path) -> Figures:
        rows = _run("train", {**DPO, "output_dir": str(home / "saves" / "run")}, home)
        return {"pairs_per_second": pairs / (rows[-1].time or 1), **_peak(home)}

    def floor(home: Path) -> Figures:
        return _floor("dpo", {**DPO, "output_dir": str(home / "floor")}, home)

    _compare("dpo", ours, floor, int(rounds))


def merge(rounds: float = ROUNDS) -> None:
    """An adapter merged into its base: seconds of the whole command, peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "saves" / "adapter"
        _run("train", {**TRAIN, "max_steps": 1, "output_dir": str(adapter)}, Path(folder))

        def ours(home: Path) -> Figures:
            values = {
                "model_name_or_path": SHARED["model_name_or_path"],
                "adapter_name_or_path": str(adapter),
                "export_dir": str(home / "merged"),
            }
            begin = time.perf_counter()
            _run("export", values, home)
            return {"seconds": time.perf_counter() - begin, **_peak(home)}

        def floor(home: Path) -> Figures:
            places = {"base": SHARED["model_name_or_path"], "adapter": str(adapter)}
            begin = time.perf_counter()
            figures = _floor("merge", {**places, "target": str(home / "merged")}, home)
            return {"seconds": time.perf_counter() - begin, **figures}

        _compare("merge", ours, floor, int(rounds))


def _compare(name: str, ours: Any, floor: Any, rounds: int, **others: Any) -> None:
    """All in turn; medians, ratios of ours to each, and all figures as JSON."""
    rivals = {"floor": floor, **others}
    table: dict[str, list[Figures]] = {who: [] for who in ("tuneboard", *rivals)}
    for _ in range(rounds + 1):
        for who, measure in {"tuneboard": ours, **rivals}.items():
            with tempfile.TemporaryDirectory() as home:
                table[who].append(measure(Path(home)))
    print(f"{name}: median of {rounds} rounds, a first one dropped")
    for rival in rivals:
        print(f"{'':20}{'tuneboard':>12}{rival:>12}{'ratio':>8}")
        for figure in table["floor"][0]:
            pair = (table[who][1:] for who in ("tuneboard", rival))
            a, b = (statistics.median(row[figure] for row in rows) for rows in pair)
            print(f"{figure:20}{a:12.2f}{b:12.2f}{a / b:8.2f}")
    print(json.dumps({"bench": name, **table}))


def _run(task: str, values: dict[str, Any], home: Path) -> list[metrics.Metrics]:
    """Run one of our commands as a person does; the rows of its metrics."""
    argv = [sys.executable, "-m", "backend", *Command.build(task, values).argv[1:]]
    _call(argv, home)
    path = home / "saves" / "run" / "metrics.jsonl"
    return metrics.read(path)[0] if path.exists() else []


def _peak(home: Path) -> Figures:
    """Peak memory of the run's processes, as its supervisor has seen it."""
    (file,) = (home / "saves").rglob("exit.json")
    return {"peak_gb": json.loads(file.read_text())["max_rss"] / 1e9}


def _floor(name: str, options: dict[str, Any], home: Path) -> Figures:
    argv = [sys.executable, "-m", "tests.bench_floor", name, json.dumps(options)]
    code = (
        "import resource, subprocess, sys;"
        "out = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout;"
        "print(out.splitlines()[-1]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    figures, peak = _call([sys.executable, "-c", code, *argv], home).splitlines()[-2:]
    return {**json.loads(figures), "peak_gb": int(peak) * 1024 / 1e9}


def _call(argv: list[str], home: Path) -> str:
    """The output of a command, on one core where a processor computes."""
    if not (home / "data").exists():
        shutil.copytree(ROOT / "data", home / "data")
        (home / "saves").mkdir()
    env = {
        **os.environ,
        "TUNEBOARD_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
    }
    if not torch.cuda.is_available():
        core = str(max(os.sched_getaffinity(0)))
        argv, env = ["taskset", "-c", core, *argv], {**env, "OMP_NUM_THREADS": "1"}
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.run(argv, cwd=home, env=env, check=True, text=True, **quiet).stdout
