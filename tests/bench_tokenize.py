"""Tokenizing from the file to rows on disk: rows a second, ours beside others, in turn.

ours: tokenize_source, with its defaults, on one core and on two. map: datasets.map with our maker.
floor: json.loads, apply_chat_template and encode_batch_fast of whole batches; no labels, nothing is
written. rival: LLaMA-Factory's own preparation, in its virtual environment. All on the same rows
(general_en again and again with changes; conversations, long answers, tools among them), with the
tokenizer and template of the starter model. A first round is dropped. Each is a new process.

`python -m tests.bench_tokenize ARM HOME CORES` runs one of ours, map and floor.
"""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.services.models.catalog import STARTER

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "saves" / "models" / STARTER
ROWS = 8000
ROUNDS = 3
CUTOFF = 512
BATCH = 1000

Json = dict[str, Any]


def tokenize(rounds: float = ROUNDS, rows: float = ROWS, rival: str = "") -> None:
    """Medians of rows a second, their ratios to the floor on one core, and peak memory."""
    cores = [1, 2] if len(os.sched_getaffinity(0)) > 1 else [1]
    arms = [(name, count) for count in cores for name in ("ours", "map")] + [("floor", 1)]
    arms += [("rival", count) for count in cores if rival]
    figures: dict[str, list[Json]] = {f"{name} {count}": [] for name, count in arms}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), int(rows))
        for _ in range(int(rounds) + 1):
            for name, count in arms:
                figures[f"{name} {count}"].append(_measure(Path(folder), name, count, rival))
    medians = {
        name: {key: statistics.median(row[key] for row in each[1:] or each) for key in each[0]}
        for name, each in figures.items()
    }
    floor = medians["floor 1"]["rows_per_second"]
    print(f"{int(rows):,} rows, median of {int(rounds)} rounds, a first one dropped")
    print(f"{'':>10}{'cores':>7}{'rows/s':>9}{'of floor':>10}{'tokens a row':>14}{'MB':>7}")
    for name, row in medians.items():
        who, count = name.split()
        speed = row["rows_per_second"]
        print(
            f"{who:>10}{count:>7}{speed:9.0f}{speed / floor:10.2f}"
            f"{row['tokens_a_row']:14.0f}{row['megabytes']:7.0f}"
        )
    if len(cores) > 1:
        ratio = medians["ours 2"]["rows_per_second"] / medians["ours 1"]["rows_per_second"]
        print(f"ours on two cores: {ratio:.2f} x one")
    print(json.dumps({"bench": "tokenize", **figures}))


def write(home: Path, count: int) -> None:
    """A registered file of so many mixed rows, and their messages alone for the floor."""
    for name in ("data", "saves"):
        (home / name).mkdir()
    with (
        (home / "data" / "x.jsonl").open("w", encoding="utf-8") as rows,
        (home / "floor.jsonl").open("w", encoding="utf-8") as plain,
    ):
        for row in make_rows(count):
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
            plain.write(json.dumps(_to_messages(row), ensure_ascii=False) + "\n")
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    entry = {"file_name": "x.jsonl", "formatting": "sharegpt", "columns": columns}
    (home / "data" / "dataset_info.json").write_text(json.dumps({"x": entry}))


def make_rows(count: int) -> Iterator[Json]:
    """Of ten rows six are a question and its answer, two have four of them, one has a long answer
    and one calls a tool."""
    source = json.loads((ROOT / "data" / "general_en.json").read_text(encoding="utf-8"))
    draw = random.Random(1)
    zone = {"type": "object", "properties": {"zone": {"type": "string", "description": "Where."}}}
    tool = {"name": "clock", "description": "Tells the time.", "parameters": zone}
    for number in range(count):
        kind = number % 10
        pairs = draw.sample(source, 4)
        talk = []
        for pair in pairs[: 4 if kind in {2, 5} else 1]:
            words = f"{pair['instruction']} {pair.get('input', '')} (question {number})"
            talk += [{"from": "human", "value": words}, {"from": "gpt", "value": pair["output"]}]
        if kind == 8:
            outputs = [each["output"] for each in draw.sample(source, 12)]
            talk[-1]["value"] = f"{number}. " + "\n\n".join(outputs)
        if kind == 9:
            call = json.dumps({"name": "clock", "arguments": {"zone": str(number)}})
            talk[1:1] = [
                {"from": "function_call", "value": call},
                {"from": "observation", "value": f"12:{number}"},
            ]
        system = "Answer in the words of an expert." if kind in {3, 7} else ""
        tools = json.dumps([tool]) if kind == 9 else ""
        yield {"conversations": talk, "system": system, "tools": tools}


def _to_messages(row: Json) -> list[Json]:
    """The messages that a template without tools gets for a row."""
    roles = {"human": "user", "gpt": "assistant", "function_call": "assistant"}
    system = row["system"] + row["tools"]
    messages = [{"role": "system", "content": system}] if system else []
    for turn in row["conversations"]:
        messages.append({"role": roles.get(turn["from"], "user"), "content": turn["value"]})
    return messages


def _measure(home: Path, name: str, cores: int, rival: str) -> Json:
    script = [str(ROOT / "tests" / "bench_rival.py"), "tokenize", str(MODEL), str(CUTOFF)]
    arm = script if name == "rival" else ["-m", "tests.bench_tokenize", name]
    python = f"{rival}/bin/python" if name == "rival" else sys.executable
    chosen = ",".join(map(str, sorted(os.sched_getaffinity(0))[-cores:]))
    with tempfile.TemporaryDirectory(dir=home) as saves:
        env = {
            **os.environ,
            "TUNEBOARD_HOME": str(home),
            "PYTHONPATH": "" if name == "rival" else str(ROOT),
            "HF_HOME": f"{saves}/hub",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        }
        done = subprocess.run(
            ["taskset", "-c", chosen, python, *arm, str(home), str(cores)],
            cwd=home,
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    figures: Json = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(name: str, home: str, cores: str) -> None:
    """Run one arm and print its figures as JSON."""
    prepare = {"ours": _prepare_ours, "map": _prepare_map, "floor": _prepare_floor}[name]
    run = prepare(Path(home), int(cores))
    begin = time.perf_counter()
    lengths = run()
    seconds = time.perf_counter() - begin
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in who)
    figures = {
        "rows_per_second": len(lengths) / seconds,
        "tokens_a_row": sum(lengths) / len(lengths),
        "megabytes": peak / 1024,
    }
    print(json.dumps(figures))


def _prepare(home: Path) -> Any:
    """What a run has loaded before it prepares its data."""
    from backend.contract.arguments.arguments import resolve
    from backend.data import templates, tokenize
    from backend.model import load
    from backend.running.report import Report

    values = resolve(
        {
            "model_name_or_path": str(MODEL),
            "dataset_dir": str(home / "data"),
            "dataset": "x",
            "cutoff_len": CUTOFF,
            "overwrite_cache": True,
        }
    )
    template = templates.load(values, load.tokenizer(values))
    return tokenize.Preparation(values, template, Report(home))


def _prepare_ours(home: Path, _cores: int) -> Any:
    from backend.data import sources, tokenize

    work = _prepare(home)

    def run() -> list[int]:
        (source,) = sources.open_sources(work.values, "dataset")
        return list(tokenize.tokenize_source(work, source).rows["length"])

    return run


def _prepare_map(home: Path, cores: int) -> Any:
    from datasets import load_dataset

    from backend.contract.registry import dataset_info
    from backend.data.examples import columns
    from backend.datafiles import formats, layouts

    work = _prepare(home)

    def run() -> list[int]:
        file = home / "data" / "x.jsonl"
        raw = load_dataset("json", data_files=str(file), split="train", keep_in_memory=True)
        entry = dataset_info.find("x", str(home / "data"))
        read = formats.reader(layouts.layout(entry, raw[0], (str(file), 1)))
        maker = work.maker()

        def make(batch: Json, places: list[int]) -> Json:
            rows = [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
            made = maker([(place, read(row)) for place, row in zip(places, rows, strict=True)])
            return {name: [each[name] for each in made.examples] for name in columns("sft")}

        rows = raw.map(
            make,
            batched=True,
            batch_size=work.batch_size(),
            with_indices=True,
            num_proc=cores if cores > 1 else None,
            remove_columns=raw.column_names,
        )
        return list(rows["length"])

    return run


def _prepare_floor(home: Path, _cores: int) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    encode = tokenizer.backend_tokenizer.encode_batch_fast

    def run() -> list[int]:
        with (home / "floor.jsonl").open(encoding="utf-8") as file:
            talks = [json.loads(line) for line in file]
        lengths: list[int] = []
        for start in range(0, len(talks), BATCH):
            batch = talks[start : start + BATCH]
            texts = tokenizer.apply_chat_template(batch, tokenize=False)
            encodings = encode(texts, add_special_tokens=False)
            lengths += [len(encoding.ids[:CUTOFF]) for encoding in encodings]
        return lengths

    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
