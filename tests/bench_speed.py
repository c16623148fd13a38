"""Our commands beside hand-written floors, LLaMA-Factory and trl: in turn, on one core, as ratios.

Whole commands with their defaults. Figures are printed as they come. Nothing here is an assertion.
`--rival VENV` is a virtual environment that has LLaMA-Factory; without it that arm is left out.
"""

import json
import shutil
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from app.services.models.catalog import STARTER
from backend.training import precision
from tests.bench_answers import question
from tests.bench_arms import (
    Arm,
    Figures,
    compare,
    describe,
    run,
    run_floor,
    run_rival,
    run_trl,
)
from tests.bench_tokenize import make_rows

ROOT = Path(__file__).parents[1]
MODEL = str(ROOT / "saves" / "models" / STARTER)
ROUNDS = 3
ROWS = 64  # of an epoch of SFT
SHARED: dict[str, Any] = {
    "model_name_or_path": MODEL,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "cutoff_len": 512,
    "logging_steps": 1,
    "save_strategy": "no",
}
TRAIN = {**SHARED, "dataset": "mixed", "num_train_epochs": 1.0}
DPO = {
    **SHARED,
    "stage": "dpo",
    "dataset": "preference_en",
    "max_samples": 16,
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 2,
}
GRPO = {
    **SHARED,
    "stage": "grpo",
    "dataset": "questions",
    "max_steps": 4,
    "per_device_train_batch_size": 2,
    "num_generations": 4,
    "max_new_tokens": 64,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "reward_functions": "length",
    "reward_length": 200,
}
ANSWERS = {"eval_dataset": "questions", "max_samples": 24, "max_new_tokens": 64}
NO_CHECKPOINTING = {"disable_gradient_checkpointing": True}
BEST = {**NO_CHECKPOINTING, "train_sampling_strategy": "group_by_length"}


def train(rounds: float = ROUNDS, rows: float = ROWS, rival: str = "") -> None:
    """SFT of a LoRA over an epoch of mixed rows: tokens a second from the second step on (padding
    not counted), seconds before the first step, peak memory; also in bf16, which the starter model,
    stored in float32, does not take by itself on a CPU."""
    prepare = partial(_write_mixed, count=int(rows))

    def ours(home: Path, **more: Any) -> Figures:
        prepare(home)
        done = run("train", {**TRAIN, **more}, home)
        seen = [row.tokens or 0 for row in done.rows]
        counts = [after - before for before, after in zip([0, *seen], seen, strict=False)]
        return {**describe("tokens", counts, done.moments, 1), **done.used}

    def floor(home: Path) -> Figures:
        prepare(home)
        steps = -(-int(rows) // int(TRAIN["per_device_train_batch_size"]))
        return run_floor(
            "train", {**TRAIN, "max_steps": steps, "output_dir": f"{home}/floor"}, home
        )

    def theirs(home: Path, **more: Any) -> Figures:
        prepare(home)
        figures = run_rival(rival, "train", {**TRAIN, **more}, home)
        rates = describe("tokens", figures["tokens"], figures["moments"], 1)
        return {**rates, "peak_gb": figures["peak_gb"], "padding": figures["padding"]}

    arms: dict[str, Arm] = {"floor": floor}
    if torch.cuda.is_available() or precision.has_instructions():
        arms["bf16 true"] = partial(ours, bf16=True)
    if rival:
        arms["LF"] = theirs
        arms["LF, all kept"] = partial(theirs, **NO_CHECKPOINTING)
        arms["LF, its best"] = partial(theirs, **BEST)
    compare("train", ours, arms, int(rounds))


def dpo(rounds: float = ROUNDS, rows: float = 16, rival: str = "") -> None:
    """DPO over three epochs: pairs a second, peak memory."""
    pairs = rows * float(DPO["num_train_epochs"])
    options = {**DPO, "max_samples": int(rows)}

    def rate(figures: Any) -> Figures:
        count = len(figures["moments"]) - 1
        rates = describe("pairs", [pairs / count] * count, figures["moments"], 0)
        return {
            **rates,
            **{name: figures[name] for name in ("peak_gb", "cpu_s") if name in figures},
        }

    def ours(home: Path) -> Figures:
        done = run("train", options, home)
        return rate({"moments": done.moments, **done.used})

    def floor(home: Path) -> Figures:
        return run_floor("dpo", {**options, "output_dir": f"{home}/floor"}, home)

    def theirs(home: Path) -> Figures:
        return rate(run_rival(rival, "train", options, home))

    def trl(home: Path) -> Figures:
        file = {"file": str(ROOT / "data" / "preference_en.json"), "rows": int(rows)}
        names = ("model_name_or_path", "num_train_epochs", "per_device_train_batch_size")
        given = {**{name: DPO[name] for name in names}, "max_length": 512, **file}
        return rate(run_trl("dpo", {**given, "output_dir": str(home)}, home))

    others = {"LF": theirs} if rival else {}
    compare("dpo", ours, {"floor": floor, "trl": trl, **others}, int(rounds))


def grpo(rounds: float = ROUNDS, steps: float = 4) -> None:
    """GRPO beside trl's: two questions a step, four answers of 64 tokens to each."""
    options = {**GRPO, "max_steps": int(steps)}

    def ours(home: Path) -> Figures:
        _write_questions(home, 8)
        done = run("train", options, home)
        return {**describe("steps", [1] * len(done.rows), done.moments, 0), **done.used}

    def trl(home: Path, **more: Any) -> Figures:
        given = {
            "model_name_or_path": MODEL,
            "max_steps": int(steps),
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 64,
            "questions": [question(number)[0]["content"] for number in range(8)],
            "output_dir": str(home),
            **more,
        }
        figures = run_trl("grpo", given, home)
        moments = figures["moments"]
        rates = describe("steps", [1] * (len(moments) - 1), moments, 0)
        return {**rates, "peak_gb": figures["peak_gb"]}

    all_kept = partial(trl, gradient_checkpointing=False)
    compare("grpo", ours, {"trl": trl, "trl, all kept": all_kept}, int(rounds))


def answers(rounds: float = ROUNDS, rival: str = "") -> None:
    """Answers to 24 rows, 64 tokens each, with an adapter: seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = _make_adapter(Path(folder))

        def ours(home: Path) -> Figures:
            _write_questions(home, 24)
            begin = time.perf_counter()
            # no loss, which LLaMA-Factory does not compute beside answers
            predict = {"do_predict": True, "do_eval": False, "predict_with_generate": True}
            done = run("eval", {**ANSWERS, **predict, **_places(adapter)}, home)
            return {"seconds": time.perf_counter() - begin, **done.used}

        def theirs(home: Path) -> Figures:
            _write_questions(home, 24)
            predict = {"stage": "sft", "do_predict": True, "predict_with_generate": True}
            options = {**ANSWERS, **predict, **_places(adapter), "do_sample": False}
            begin = time.perf_counter()
            figures = run_rival(rival, "answers", options, home)
            return {"seconds": time.perf_counter() - begin, **figures}

        compare("answers", ours, {"LF": theirs} if rival else {}, int(rounds))


def merge(rounds: float = ROUNDS, rival: str = "") -> None:
    """An adapter merged into its base: seconds of the whole command, peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = _make_adapter(Path(folder))

        def ours(home: Path) -> Figures:
            begin = time.perf_counter()
            done = run("export", {**_places(adapter), "export_dir": str(home / "merged")}, home)
            return {"seconds": time.perf_counter() - begin, **done.used}

        def floor(home: Path) -> Figures:
            places = {"base": MODEL, "adapter": str(adapter), "target": str(home / "merged")}
            begin = time.perf_counter()
            figures = run_floor("merge", places, home)
            return {"seconds": time.perf_counter() - begin, **figures}

        def theirs(home: Path) -> Figures:
            options = {**_places(adapter), "export_dir": str(home / "merged"), "template": "smollm"}
            begin = time.perf_counter()
            figures = run_rival(rival, "merge", options, home)
            return {"seconds": time.perf_counter() - begin, **figures}

        others = {"LF": theirs} if rival else {}
        compare("merge", ours, {"floor": floor, **others}, int(rounds))


def _places(adapter: Path) -> dict[str, str]:
    return {"model_name_or_path": MODEL, "adapter_name_or_path": str(adapter)}


def _make_adapter(home: Path) -> Path:
    """A LoRA of one step."""
    run("train", {**TRAIN, "dataset": "general_en", "max_steps": 1}, home)
    return home / "saves" / "run"


def measure_step(home: Path, length: int) -> Figures:
    """Milliseconds (also of a processor) of a step of SFT with one row of so many tokens, and the
    peak memory (MB) of its run."""
    rows = [{"instruction": "Count.", "output": "one two three " * length}] * 8
    _register(home, "long", rows, {"prompt": "instruction", "response": "output"})
    options = {"per_device_train_batch_size": 1, "cutoff_len": length, "max_steps": 4}
    done = run("train", {**SHARED, "dataset": "long", **options}, home)
    (began, first), *_, (ended, last) = done.moments[1:]
    steps = (len(done.moments) - 2) / 1000
    return {
        "a step": (ended - began) / steps,
        "a step, of a processor": (last - first) / steps,
        "its memory (MB)": 1000 * done.used["peak_gb"],
    }


def _write_mixed(home: Path, count: int) -> None:
    """Rows of one question, of four, and of a long answer, without tools."""
    rows = (row for row in make_rows(2 * count + 10) if not row["tools"])
    _register(
        home, "mixed", [*islice(rows, count)], {"messages": "conversations", "system": "system"}
    )


def _write_questions(home: Path, count: int) -> None:
    rows = [{"instruction": question(each)[0]["content"], "output": "x"} for each in range(count)]
    _register(home, "questions", rows, {"prompt": "instruction", "response": "output"})


def _register(home: Path, name: str, rows: list[Any], columns: dict[str, str]) -> None:
    """Our sets of data in this home, with one more."""
    shutil.copytree(ROOT / "data", home / "data")
    file = home / "data" / "dataset_info.json"
    layout = {"formatting": "sharegpt"} if "messages" in columns else {}
    entry = {"file_name": f"{name}.json", "columns": columns, **layout}
    file.write_text(json.dumps({**json.loads(file.read_text()), name: entry}))
    (home / "data" / f"{name}.json").write_text(json.dumps(rows))
