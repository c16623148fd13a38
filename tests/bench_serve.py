"""Streams of `tuneboard api`, beside transformers' `generate`: one row, and batches by hand.

Both answer the same questions, in turns (A B A B). All is greedy. Compare the ratios: the times are
those of a machine that may do other things, too. On one core: `taskset -c 1`.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from tests.bench_answers import MODEL, ROOT, greedy, numbers, prompt_of, question

URL = "/v1/chat/completions"
COUNTS = (1, 4, 8)


class Pace(NamedTuple):
    """Tokens a second of several answers together, the seconds until each had its first token, from
    the soonest to the latest, and their texts."""

    rate: float
    firsts: list[float]
    texts: list[str]


class Stream(NamedTuple):
    """A streamed answer: the seconds until its first token, its length in tokens and its text."""

    first: float
    tokens: int
    text: str


Figures = dict[str, list[tuple[float, float]]]
Pair = tuple[Pace, Pace]  # ours and that of generate, one after the other


def serve(*sizes: float) -> None:
    """1, 4 and 8 streams at once and as a batch by hand: [tokens of an answer, rounds]."""
    tokens, rounds = numbers(sizes, 48, 3)
    plain = Plain()
    table: dict[int, list[Pair]] = {count: [] for count in COUNTS}
    with server() as address:
        for _ in range(rounds + 1):
            for count in COUNTS:
                pair = (ask(address, count, tokens), plain.answer(count, tokens))
                table[count].append(pair)
    pairs = {count: each[1:] for count, each in table.items()}
    print(f"serve: medians of {rounds} rounds, a first one dropped; ratios are those of pairs")
    show(compare(pairs))
    answers = [texts for each in pairs.values() for pair in each for texts in match_answers(pair)]
    print(f"equal answers: {sum(a == b for a, b in answers)} of {len(answers)}")


class Plain:
    """The starter model as a script has it, without a server."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(MODEL).eval().to(device)

    def answer(self, count: int, tokens: int) -> Pace:
        """Answer so many questions as one batch."""
        prompts = [prompt_of(self._tokenizer, number) for number in range(count)]
        inputs = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        watch = _First()
        began = time.perf_counter()
        output = self._model.generate(
            **inputs.to(self._model.device), **greedy(tokens), streamer=watch
        )
        seconds = time.perf_counter() - began
        answers = output[:, inputs["input_ids"].shape[1] :]
        ends = answers == self._tokenizer.pad_token_id
        length = int((~ends).sum() + ends.any(dim=1).sum())  # the server counts an end as well
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        return Pace(length / seconds, [watch.first - began] * count, texts)


class _First:
    """A streamer of generate that sees when the first tokens after the prompts are there."""

    first = 0.0

    def __init__(self) -> None:
        self._calls = 0

    def put(self, value: Any) -> None:
        """Take the prompts, then the newest tokens, again and again."""
        self._calls += 1
        if self._calls == 2:
            self.first = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to do."""


def ask(address: str, count: int, tokens: int) -> Pace:
    """Ask a server so many questions at once, by a client that is there already."""
    with httpx.Client(base_url=address, timeout=600) as client, ThreadPoolExecutor(count) as pool:
        began = time.perf_counter()
        streams = [*pool.map(lambda number: stream(client, number, tokens), range(count))]
        seconds = time.perf_counter() - began
    firsts = sorted(each.first for each in streams)
    rate = sum(each.tokens for each in streams) / seconds
    return Pace(rate, firsts, [each.text for each in streams])


def stream(client: httpx.Client, number: int, tokens: int) -> Stream:
    """The streamed answer to a question."""
    body = {"messages": question(number), "stream": True, "temperature": 0, "max_tokens": tokens}
    options = {"stream_options": {"include_usage": True}}
    began, first, count, text = time.perf_counter(), 0.0, 0, ""
    with client.stream("POST", URL, json={**body, **options}) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                first = first or (time.perf_counter() - began if text else 0.0)
            count = (chunk.get("usage") or {}).get("completion_tokens", count)
    return Stream(first, count, text)


def compare(pairs: dict[int, list[Pair]]) -> Figures:
    """What is printed of each number of streams, for ours and generate in each round."""
    figures: Figures = {}
    for count, each in pairs.items():
        name = "1 stream" if count == 1 else f"{count} streams"
        figures[f"{name}, tokens/s"] = [(a.rate, b.rate) for a, b in each]
        figures[f"{name}, first token (s)"] = [(a.firsts[0], b.firsts[0]) for a, b in each]
        if count > 1:
            lasts = [(a.firsts[-1], b.firsts[-1]) for a, b in each]
            figures[f"{name}, last first token (s)"] = lasts
            figures[f"{name}, last first token of first"] = [
                (a.firsts[-1] / a.firsts[0], b.firsts[-1] / b.firsts[0]) for a, b in each
            ]
            figures[f"{name}, tokens/s of one's"] = [
                (a.rate / ours.rate, b.rate / theirs.rate)
                for (a, b), (ours, theirs) in zip(each, pairs[1], strict=True)
            ]
    return figures


def show(figures: Figures) -> None:
    """Print the medians of both and of their ratios, then all as JSON."""
    print(f"{'':36}{'tuneboard':>12}{'generate':>12}{'ratio':>8}")
    for name, pairs in figures.items():
        ours, theirs = (statistics.median(pair[who] for pair in pairs) for who in (0, 1))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:36}{ours:12.2f}{theirs:12.2f}{ratio:8.2f}")
    print(json.dumps({"bench": "serve", **figures}))


def match_answers(pair: Pair) -> list[tuple[str, str]]:
    """The texts of ours and of generate to the same questions."""
    ours, theirs = pair
    return [*zip(ours.texts, theirs.texts, strict=True)]


@contextmanager
def server() -> Iterator[str]:
    """The address of a `tuneboard api` that has loaded the starter model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["api", "--model_name_or_path", str(MODEL), "--port", str(port)]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "TUNEBOARD_HOME": home, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "backend", *words]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, cwd=home) as process:
            try:
                address = f"http://127.0.0.1:{port}"
                while not is_ready(address):
                    if process.poll() is not None:
                        raise SystemExit(f"the server ended with {process.returncode}")
                    time.sleep(0.2)
                yield address
            finally:
                process.terminate()


def is_ready(address: str) -> bool:
    try:
        return bool(httpx.get(f"{address}/health").json()["status"] == "ready")
    except httpx.TransportError:
        return False
