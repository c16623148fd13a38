"""The runs that tests.bench_speed measures: our commands, and others beside them, on one core."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch

from backend.contract.arguments.command import Command
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics

ROOT = Path(__file__).parents[1]
WITH_PEAK = (
    "import resource, subprocess, sys;"
    "out = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout;"
    "print(out.splitlines()[-1]);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)

Figures = dict[str, float]
Arm = Callable[[Path], Figures]
Moment = tuple[float, float]  # seconds since a launch, and of the processor since then


class Run(NamedTuple):
    """When a training began and when each of its steps was seen to end; its metrics; its peak
    memory, and the seconds of a processor that it has taken."""

    moments: list[Moment]
    rows: list[Metrics]
    used: Figures


def compare(name: str, ours: Arm, rivals: dict[str, Arm], rounds: int) -> None:
    """All in turn; medians, ratios of ours to each, and all figures as JSON."""
    table: dict[str, list[Figures]] = {who: [] for who in ("tuneboard", *rivals)}
    for _ in range(rounds):
        for who, measure in {"tuneboard": ours, **rivals}.items():
            with tempfile.TemporaryDirectory() as home:
                before = _sum_children()
                figures = measure(Path(home))
                table[who].append({"cpu_s": _sum_children() - before, **figures})
            print(f"{who}: {json.dumps(table[who][-1])}", flush=True)
    print(f"{name}: median of {rounds} rounds")
    for rival in rivals:
        print(f"{'':20}{'tuneboard':>12}{rival:>14}{'ratio':>8}")
        for figure in table["tuneboard"][0].keys() & table[rival][0].keys():
            a, b = (
                statistics.median(row[figure] for row in table[w]) for w in ("tuneboard", rival)
            )
            print(f"{figure:20}{a:12.3f}{b:14.3f}{a / b:8.2f}")
    print(json.dumps({"bench": name, **table}))


def _sum_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(task: str, values: dict[str, Any], home: Path) -> Run:
    """Run one of our commands as a person does, and watch it."""
    place = {} if task == "export" else {"output_dir": str(home / "saves" / "run")}
    argv = [sys.executable, "-m", "backend", *Command.build(task, {**values, **place}).argv[1:]]
    moments: list[Moment] = []
    spent = [0.0]

    def look(process: psutil.Process, launched: float) -> None:
        folders = [each.parent for each in (home / "saves").rglob(run_folder.LAUNCH)]
        spent[0] = max(spent[0], _measure_processor(process, folders))
        for folder in folders:
            file, status = folder / run_folder.METRICS, folder / run_folder.STATUS
            steps = file.read_bytes().count(b"\n") if file.exists() else 0
            trains = steps > 0 or (status.exists() and b'"training"' in status.read_bytes())
            fresh = steps + trains - len(moments)
            moments.extend([(time.time() - launched, spent[0])] * fresh)

    _call(argv, home, look)
    (file,) = (home / "saves").rglob(run_folder.EXIT)
    used = {"peak_gb": json.loads(file.read_text())["max_rss"] / 1e9, "cpu_s": spent[0]}
    return Run(moments, metrics.read(file.with_name(run_folder.METRICS))[0], used)


def _measure_processor(command: psutil.Process, folders: Sequence[Path]) -> float:
    """Seconds of a processor that a command, its run and all their processes have taken."""
    seconds = 0.0
    try:
        processes = [command, *command.children(recursive=True)]
        for folder in folders:
            launch = json.loads((folder / run_folder.LAUNCH).read_text())
            supervisor = psutil.Process(launch["supervisor"]["pid"])
            processes += [supervisor, *supervisor.children(recursive=True)]
        for each in {process.pid: process for process in processes}.values():
            seconds += sum(each.cpu_times()[:4])
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return 0.0
    return seconds


def describe(name: str, counts: Sequence[float], moments: Sequence[Moment], skip: int) -> Figures:
    """Things a second and a second of the processor, without the first `skip` steps, and what a
    training took before them. `counts` are those of the steps."""
    (began, first), (ended, last) = moments[skip], moments[len(counts)]
    total = sum(counts[skip:])
    return {
        f"{name}_per_second": total / (ended - began),
        f"{name}_per_cpu_second": total / (last - first),
        "before_first_step_s": moments[0][0],
        "before_first_step_cpu_s": moments[0][1],
    }


def run_floor(name: str, options: dict[str, Any], home: Path) -> Any:
    """A hand-written floor."""
    argv = [sys.executable, "-m", "tests.bench_floor", name, json.dumps(options)]
    return _measure(argv, home)


def run_trl(name: str, options: dict[str, Any], home: Path) -> Any:
    """trl, which lies in our own environment."""
    return _measure([sys.executable, "-m", "tests.bench_trl", name, json.dumps(options)], home)


def run_rival(rival: str, name: str, options: dict[str, Any], home: Path) -> Any:
    """LLaMA-Factory with its own defaults."""
    names = {} if name == "merge" else {"template": "smollm", "report_to": "none"}
    if name == "train":
        names |= {"do_train": True, "finetuning_type": "lora"}
    if name != "merge":
        names |= {"dataset_dir": str(home / "data"), "output_dir": str(home / "theirs")}
    words = [name, json.dumps({**options, **names})]
    script = str(ROOT / "tests" / "bench_rival.py")
    return _measure([f"{rival}/bin/python", script, *words], home, PYTHONPATH="")


def _measure(argv: list[str], home: Path, **env: str) -> Any:
    """The figures that a command prints, with the peak memory of its process."""
    output = _call([sys.executable, "-c", WITH_PEAK, *argv], home, **env)
    figures, peak = output.splitlines()[-2:]
    return {**json.loads(figures), "peak_gb": int(peak) * 1024 / 1e9}


def _call(
    argv: list[str],
    home: Path,
    look: Callable[[psutil.Process, float], None] = lambda *_: None,
    **more: str,
) -> str:
    """The output of a command, on one core where a processor computes; `look` is called five times
    a second, with the time of its launch."""
    if not (home / "data").exists():
        shutil.copytree(ROOT / "data", home / "data")
    (home / "saves").mkdir(exist_ok=True)
    launched = time.time()
    env = {
        **os.environ,
        "TUNEBOARD_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(home / "hub"),
        "HF_HUB_OFFLINE": "1",
        "BENCH_LAUNCHED": str(launched),
        **more,
    }
    if not torch.cuda.is_available():
        core = str(max(os.sched_getaffinity(0)))
        argv, env = ["taskset", "-c", core, *argv], {**env, "OMP_NUM_THREADS": "1"}
    output, errors = home / "output.txt", home / "errors.txt"
    with (
        output.open("w") as out,
        errors.open("w") as wrong,
        subprocess.Popen(argv, cwd=home, env=env, stdout=out, stderr=wrong) as process,
    ):
        followed = psutil.Process(process.pid)
        while process.poll() is None:
            look(followed, launched)
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{argv} ended with {process.returncode}: {errors.read_text()[-2000:]}")
    return output.read_text()
