"""Many runs: a tick of the list, and the list in Chromium; and what costs how much at which size.

Of the runs all but one have ended; that one takes a step between two ticks, and we pass for its
supervisor. Nothing here is an assertion.
"""

import json
import math
import os
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

from app.services.page import news, run_feed
from app.services.runs import history, runs
from app.tabs.run import runs as tab
from backend.contract.arguments import arguments
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from backend.datafiles import index, reading
from tests import bench_run
from tests.bench_speed import measure_step
from tests.e2e.conftest import FLAGS, Server

TICKS = 7
ROUNDS = 5
FRESH_S = 1.1  # the server looks at most once a second
DATA = (1_000, 10_000, 100_000, 1_000_000)
ROWS = (100, 1_000, 10_000, 100_000, 1_000_000)
RUNS = (1, 10, 100, 1_000, 10_000)
LENGTHS = (128, 256, 512, 1_024, 2_048)
COUNT = "document.querySelector('#runs-table table')?.getAttribute('aria-rowcount') === '{}'"
FIRST = "document.querySelector('#runs-table .list-name')?.textContent === '{}'"


def lists(port: int, count: float = 10_000) -> None:
    """Print what a tick costs with so many runs, and how soon Chromium lists, sorts and filters."""
    with tempfile.TemporaryDirectory() as folder:
        home, number = Path(folder), int(count)
        make_runs(home, number)
        server = Server(home, port)
        for start in ("without an index", "with the index"):
            server.start()
            try:
                begin = time.perf_counter()
                _ask_news(server.url)
                seconds = time.perf_counter() - begin
                print(f"{number:,} runs, {start}: first look {1000 * seconds:.0f} ms")
                if start == "with the index":
                    figures = {**_tick(server, home), **_browse(server.url, number)}
            finally:
                server.kill()
    for name, values in figures.items():
        print(f"{name:16}{statistics.median(values):10.1f}")
    print(json.dumps({"bench": "lists", "runs": number, **figures}))


def make_runs(home: Path, count: int) -> None:
    """So many runs in a home: the last goes on, all others have ended."""
    method = home / "saves" / "SmolLM2-135M" / "lora"
    row = {"kind": "train", "arguments": arguments.defaults("train"), "argv": ["tuneboard"]}
    losses = [
        b"".join(metrics.encode(Metrics(step=step, loss=3 - step / slope)) for step in range(1, 41))
        for slope in range(20, 60)
    ]
    for number in range(count):
        folder = method / f"run-{number:05}"
        folder.mkdir(parents=True)
        files = {
            run_folder.RUN: {**row, "sequence": number, "created": _write_time(number)},
            run_folder.STATUS: {"step": 40, "total": 40, "exit_code": 0},
            run_folder.EXIT: {"code": number % 7 == 3, "seconds": 60.0},
            run_folder.METRICS: losses[number % len(losses)],
        }
        for name, content in files.items():
            data = (
                content if isinstance(content, bytes) else json.dumps(content, default=str).encode()
            )
            (folder / name).write_bytes(data)
    process = processes.identify(os.getpid()).to_json()
    launch = {"boot_id": processes.boot_id(), "supervisor": process}
    (folder / run_folder.LAUNCH).write_text(json.dumps(launch))
    (folder / run_folder.EXIT).unlink()


def take_step(home: Path, step: int) -> None:
    """The run that goes on takes a step."""
    folder = max((home / "saves" / "SmolLM2-135M" / "lora").iterdir())
    (folder / run_folder.STATUS).write_text(json.dumps({"step": step, "total": 10**6}))
    metrics.append(folder / run_folder.METRICS, Metrics(step=step, loss=1.0))


def _write_time(number: int) -> str:
    return f"2026-{1 + number % 11:02}-{1 + number % 28:02}T{number % 24:02}:30:00+00:00"


def _ask_news(url: str) -> bytes:
    with urllib.request.urlopen(f"{url}/own/news?tab=runs&lang=en") as reply:
        content: bytes = reply.read()
        return content


def _tick(server: Server, home: Path) -> dict[str, list[float]]:
    """A tick of the Runs tab, in which the runs are looked at anew."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    figures: dict[str, list[float]] = {"tick_ms": [], "tick_cpu_ms": [], "tick_bytes": []}
    time.sleep(5)  # a start and its launches are over
    for step in range(TICKS):
        time.sleep(FRESH_S)
        take_step(home, 100 + step)
        before, begin = _seconds(process), time.perf_counter()
        figures["tick_bytes"].append(len(_ask_news(server.url)))
        figures["tick_ms"].append(1000 * (time.perf_counter() - begin))
        figures["tick_cpu_ms"].append(1000 * (_seconds(process) - before))
    return figures


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _browse(url: str, count: int) -> dict[str, list[float]]:
    """Milliseconds until the list is shown, has all runs, is filtered and sorted, as seen."""
    names = ("first_rows_ms", "all_rows_ms", "filter_ms", "sort_name_ms", "sort_loss_ms")
    figures: dict[str, list[float]] = {name: [] for name in names}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for _ in range(ROUNDS):
            page = browser.new_page(locale="en-US")
            page.goto(url)
            page.wait_for_function("document.querySelector('#command code')?.textContent")
            page.wait_for_timeout(2000)
            for name, value in zip(names, _browse_once(page, count), strict=True):
                figures[name].append(value)
            page.close()
        browser.close()
    return figures


def _browse_once(page: Page, count: int) -> list[float]:
    table, one = page.locator("#runs-table"), f"run-{count // 2:05}"
    box = table.locator("input[type=search]")
    begin = time.perf_counter()
    page.get_by_role("tab", name="Runs").first.click()
    page.wait_for_function("document.querySelector('#runs-table .list-row')", polling=5)
    shown = time.perf_counter()
    page.wait_for_function(COUNT.format(count + 1), polling=5)
    whole = time.perf_counter()
    page.wait_for_timeout(500)
    filtered = _time(page, lambda: box.fill(one), COUNT.format(2))
    _time(page, lambda: box.fill(""), COUNT.format(count + 1))
    name, loss = (table.locator(".list-sort").nth(column) for column in (0, 4))
    by_name = _time(page, name.click, FIRST.format("run-00000"))
    by_loss = _time(
        page, loss.click, "document.querySelector('#runs-table [aria-sort]')?.cellIndex === 4"
    )
    return [1000 * (shown - begin), 1000 * (whole - begin), filtered, by_name, by_loss]


def _time(page: Page, act: Callable[[], object], ready: str) -> float:
    begin = time.perf_counter()
    act()
    page.wait_for_function(ready, polling=5)
    return 1000 * (time.perf_counter() - begin)


def look(port: int, rounds: float = 3) -> None:
    """The first answer about runs of 100 and 100,000 rows and later ones; pages of data files."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), port)
        server.start()
        try:
            bench_run.repeat(server, Path(folder), (100, 100_000), int(rounds))
        finally:
            server.kill()
    _grow("data", _measure_data, (100_000,))


def growth() -> None:
    """Cost against size, with the exponent of the power of the size that fits it best."""
    _grow("data", _measure_data, DATA)
    _grow("metrics", _measure_metrics, ROWS)
    _grow("runs", _measure_runs, RUNS)
    _grow("tokens of a row", measure_step, LENGTHS)


def _grow(
    name: str, measure: Callable[[Path, int], dict[str, float]], sizes: Iterable[int]
) -> None:
    table: dict[int, dict[str, float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TUNEBOARD_HOME"] = folder
            (Path(folder) / "saves").mkdir()
            table[size] = measure(Path(folder), size)
    print(f"{name:24}" + "".join(f"{size:>12,}" for size in table) + f"{'exponent':>10}")
    for figure in next(iter(table.values())):
        values = {size: row[figure] for size, row in table.items()}
        cells = "".join(f"{value:12.2f}" for value in values.values())
        print(f"{figure:24}{cells}{_fit(values):10.2f}")
    print(json.dumps({"bench": "growth", "of": name, "sizes": table}))


def _fit(values: dict[int, float]) -> float:
    """The slope of the line through the logarithms, by least squares."""
    points = [(math.log(size), math.log(max(value, 1e-3))) for size, value in values.items()]
    if len(points) < 2:
        return math.nan
    x, y = (statistics.fmean(each) for each in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def _median(act: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Milliseconds of the processor, the median of ROUNDS; the first is dropped."""
    times = []
    for _ in range(ROUNDS + 1):
        before()
        start = time.process_time()
        act()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times[1:])


def _measure_data(home: Path, count: int) -> dict[str, float]:
    """The first page of each kind of file, and a further one."""
    figures = {}
    for path in _write_data(home, count):

        def look_at(start: int, path: Path = path) -> object:
            return reading.page(path, start, 5)

        figures[f"{path.suffix} first (ms)"] = _median(
            lambda: look_at(0), reading._count_once.cache_clear
        )
        figures[f"{path.suffix} next (ms)"] = _median(lambda: look_at(5))
    for child in index._children:
        child.end()
    index._children.clear()
    return figures


def _write_data(home: Path, count: int) -> list[Path]:
    import pyarrow
    from pyarrow import csv, parquet

    rows = [
        {"instruction": f"Question {n}?", "output": f"The answer is {n}."} for n in range(count)
    ]
    table = pyarrow.Table.from_pylist(rows)
    paths = [home / f"rows{suffix}" for suffix in (".jsonl", ".json", ".csv", ".parquet")]
    paths[0].write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    paths[1].write_text(json.dumps(rows))
    csv.write_csv(table, paths[2])
    parquet.write_table(table, paths[3])
    return paths


def _measure_metrics(home: Path, count: int) -> dict[str, float]:
    """The first answer about a run, and one after each further row."""
    folder = bench_run.make_run(home, count, log_bytes=10**6)
    known: dict[str, Any] = {}
    steps = iter(range(count + 1, 10**9))

    def ask() -> None:
        question = run_feed.Question(folder, "en", series=("loss", "eval_loss"), **known)
        answer = run_feed.answer(question)
        parts = {name: answer[name]["cursor"] for name in ("metrics", "log") if answer.get(name)}
        known.update(stamp=answer["stamp"], **parts)
        known_size[0] = len(json.dumps(answer))

    def begin() -> None:
        known.clear()
        history._histories.clear()

    known_size = [0]
    first = _median(ask, begin)
    first_size = known_size[0]
    poll = _median(ask, lambda: bench_run.log_step(folder, next(steps)))
    sizes = {"first (kB)": first_size / 1000, "poll (kB)": known_size[0] / 1000}
    return {"first (ms)": first, "poll (ms)": poll, **sizes}


def _measure_runs(home: Path, count: int) -> dict[str, float]:
    """A look at all runs and what the list answers, quiet and after a step of one run."""
    make_runs(home, count)
    steps = iter(range(41, 10**6))
    listed: dict[str, Any] = {}

    def tick() -> None:
        runs._list.forget()
        news.runs_and_states(), news.steps()

    def read() -> None:
        listed.update(tab.LISTING.read_view({"cursor": listed.get("cursor", "")}, "en"))

    cold = _median(tick, lambda: (runs._run_lists.cache_clear(), _drop_index(home)))
    warm = _median(tick, runs._run_lists.cache_clear)
    time.sleep(4)  # until the folders count as old
    tick(), read()
    figures = {"start, no index (ms)": cold, "start (ms)": warm, "quiet tick (ms)": _median(tick)}
    figures["tick after a step (ms)"] = _median(tick, lambda: take_step(home, next(steps)))
    figures["list after a step (ms)"] = _median(
        read, lambda: (take_step(home, next(steps)), tick())
    )
    figures["rows of that"] = float(len(listed["rows"]))
    return figures


def _drop_index(home: Path) -> None:
    (home / "saves" / ".runs.jsonl").unlink(missing_ok=True)
