"""Benchmarks: `python -m tests.bench start|page|tryit|data|stream|readers|tokenize|ppo|predict|
serve|vocab|vocab_small|train|dpo|grpo|answers|merge|export_memory|lists|look|growth|before`.

start: the page's time to its first answer and its idle memory, against a bare Blocks page.
page: the page in Chromium: its size, how soon it is usable, answers of the form, idle cost.
tryit: the run that the Try-it card starts, from launch to end.
data: pages of data files of a gigabyte, or of as many as are named.
stream: memory and pace of a run's data, prepared and streamed, at 1, 10 and 100 times the rows.
readers: reading a JSON file of 200 MB, against json.load and datasets.load_dataset.
tokenize: rows a second, from the file to tokens, against datasets.map and a hand-written floor:
[rounds, rows] [--rival VENV], where VENV has LLaMA-Factory.
ppo: peak memory of PPO with a shared base, against SFT of the same LoRA.
predict: answers to rows with an adapter, against plain loops over generate: [rows, tokens, rounds].
serve: 1, 4 and 8 streams of `tuneboard api` and their first tokens, against generate of one row
and of batches by hand: [tokens, rounds].
vocab: new pieces for Chinese, and pre-training with them, against the old vocabulary, of reviews.
vocab_small: the same of a tenth as much text.
train, dpo, grpo, answers, merge: whole commands with their defaults, against hand-written floors,
trl and LLaMA-Factory: [rounds, rows or steps] [--rival VENV]; on a GPU where there is one.
export_memory: peak memory of exports over the imports, against transformers' load and save.
lists: ten thousand runs, or as many as are named: a tick, and the list in Chromium.
look: the first answer about a run of 100 and of 100,000 rows, and later ones; pages of data files.
growth: cost against size, of data files, metrics, runs and a step, with the fitted exponent.
before: cold start, idle memory, the command's start and the pace of rows, against the COMMIT named.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from app.services.models.catalog import STARTER
from app.services.page.presets import TRY_IT
from backend.contract.arguments.command import Command
from backend.contract.runs import metrics
from tests import bench_answers, bench_data, bench_lists, bench_page, bench_serve
from tests.bench_before import before
from tests.bench_export import export_memory
from tests.bench_ppo import ppo
from tests.bench_readers import readers
from tests.bench_speed import answers, dpo, grpo, merge, train
from tests.bench_stream import stream
from tests.bench_tokenize import tokenize
from tests.bench_vocab import vocab, vocab_small

ROOT = Path(__file__).parents[1]
ROUNDS = 5
BARE = """
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    with gr.Tabs():
        with gr.Tab("one"): gr.Textbox()
page.launch(server_port={port}, quiet=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(argv: list[str], port: int, home: Path) -> tuple[float, float]:
    """(seconds to the first 200 on /, idle resident MB two seconds later) of one server."""
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "GRADIO_ANALYTICS_ENABLED": "False"}
    env.pop("GRADIO_SERVER_PORT", None)
    start = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while not is_up(port):
                if server.poll() is not None:
                    raise SystemExit(f"{argv} ended with {server.returncode}")
                time.sleep(0.02)
            seconds = time.perf_counter() - start
            time.sleep(2)
            memory = psutil.Process(server.pid).memory_info().rss / 2**20
        finally:
            server.terminate()
    return seconds, memory


def is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def start() -> None:
    """Both pages in turn, medians and their ratio."""
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as home:
        for _ in range(ROUNDS + 1):
            port = free_port()
            bare.append(measure([sys.executable, "-c", BARE.format(port=port)], port, Path(home)))
            port = free_port()
            ours.append(
                measure([sys.executable, "-m", "app", "--port", str(port)], port, Path(home))
            )
    names = ("start (s)", "idle memory (MB)")
    print(f"median of {ROUNDS} rounds, a first one dropped")
    print(f"{'':18}{'tuneboard':>12}{'bare page':>12}{'ratio':>8}")
    for index, name in enumerate(names):
        a = statistics.median(row[index] for row in ours[1:])
        b = statistics.median(row[index] for row in bare[1:])
        print(f"{name:18}{a:12.2f}{b:12.2f}{a / b:8.2f}")


def tryit() -> None:
    """The Try-it run as the page launches it: seconds from launch to end, and the losses."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "saves" / "models").mkdir(parents=True)
        (home / "saves" / "models" / STARTER).symlink_to(ROOT / "saves" / "models" / STARTER)
        argv = [
            sys.executable,
            "-m",
            "backend",
            *Command.build("train", {**TRY_IT, "output_dir": "run"}).argv[1:],
        ]
        start = time.perf_counter()
        subprocess.run(
            argv,
            cwd=home,
            env={**os.environ, "TUNEBOARD_HOME": folder, "PYTHONPATH": str(ROOT)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
        rows, _ = metrics.read(home / "run" / "metrics.jsonl")
    losses = [row.loss for row in rows if row.loss is not None]
    print(f"try-it: {seconds:.0f} s ({seconds / 180:.2f} of three minutes)")
    print(f"loss: {losses[0]:.3f} -> {losses[-1]:.3f} ({losses[-1] / losses[0]:.2f})")


BENCHES = {
    "start": start,
    "page": lambda: bench_page.page((free_port(), free_port()), BARE),
    "tryit": tryit,
    "data": bench_data.run,
    "stream": stream,
    "readers": readers,
    "tokenize": tokenize,
    "ppo": ppo,
    "predict": bench_answers.predict,
    "serve": bench_serve.serve,
    "vocab": vocab,
    "vocab_small": vocab_small,
    "train": train,
    "dpo": dpo,
    "grpo": grpo,
    "answers": answers,
    "merge": merge,
    "export_memory": export_memory,
    "lists": lambda count=10_000: bench_lists.lists(free_port(), count),
    "look": lambda rounds=3: bench_lists.look(free_port(), rounds),
    "growth": bench_lists.growth,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in {*BENCHES, "before"}:
        raise SystemExit(
            f"usage: python -m tests.bench {'|'.join(BENCHES)}|before COMMIT"
            " (data: [gigabytes], vocab: [steps])"
        )
    words, options = sys.argv[2:], {}
    if "--rival" in words:
        at = words.index("--rival")
        options["rival"] = words.pop(at + 1)
        words.pop(at)
    if sys.argv[1] == "before":
        before(words[0], measure, free_port)
    else:
        BENCHES[sys.argv[1]](*map(float, words), **options)
