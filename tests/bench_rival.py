"""LLaMA-Factory's part of tests.bench, in its own environment; nothing of ours is imported.

`VENV/bin/python tests/bench_rival.py tokenize MODEL CUTOFF HOME CORES` prepares the rows of
tests.bench_tokenize; `train OPTIONS`, `answers OPTIONS` and `merge OPTIONS` (JSON, with its own
names of arguments) do what tests.bench_speed measures. Figures are printed as JSON.
"""

import json
import os
import resource
import sys
import tempfile
import time
from typing import Any

Json = dict[str, Any]


def tokenize(model: str, cutoff: str, home: str, cores: str) -> Json:
    """Rows a second, tokens a row and megabytes of its preparation."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # type: ignore[import-not-found]
    from llamafactory.hparams import get_train_args  # type: ignore[import-not-found]
    from llamafactory.model import load_tokenizer  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as output:
        options = {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": model,
            "dataset": "x",
            "dataset_dir": f"{home}/data",
            "template": "smollm",
            "cutoff_len": int(cutoff),
            "overwrite_cache": True,
            "preprocessing_num_workers": int(cores),
            "finetuning_type": "lora",
            "output_dir": output,
            "report_to": "none",
        }
        model_args, data_args, training_args, *_ = get_train_args(options)
        loaded = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
        begin = time.perf_counter()
        rows = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
        lengths = [len(ids) for ids in rows["train_dataset"]["input_ids"]]
        seconds = time.perf_counter() - begin
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return {
        "rows_per_second": len(lengths) / seconds,
        "tokens_a_row": sum(lengths) / len(lengths),
        "megabytes": max(resource.getrusage(each).ru_maxrss for each in who) / 1024,
    }


def train(text: str) -> Json:
    """A training: when its steps ended, and what they had of tokens and padding."""
    from llamafactory.train.tuner import run_exp  # type: ignore[import-not-found]
    from transformers import Trainer, TrainerCallback

    launched = float(os.environ["BENCH_LAUNCHED"])
    moments: list[tuple[float, float]] = []
    tokens: list[int] = []
    places: list[int] = []
    step = Trainer.training_step

    def count(trainer: Any, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        tokens.append(int(inputs["attention_mask"].sum()))
        places.append(inputs["input_ids"].numel())
        return step(trainer, model, inputs, *args, **more)

    def note(*_: Any, **__: Any) -> None:
        moments.append((time.time() - launched, sum(os.times()[:4])))

    class Watch(TrainerCallback):
        on_train_begin = on_step_end = note

    Trainer.training_step = count
    run_exp(args=json.loads(text), callbacks=[Watch()])
    return {"moments": moments, "tokens": tokens, "padding": 1 - sum(tokens) / sum(places)}


def answers(text: str) -> Json:
    """Answers to the rows of a set of data, written to a file."""
    from llamafactory.train.tuner import run_exp

    run_exp(args=json.loads(text))
    return {}


def merge(text: str) -> Json:
    """An adapter merged into its base."""
    from llamafactory.train.tuner import export_model

    export_model(json.loads(text))
    return {}


if __name__ == "__main__":
    figures = {each.__name__: each for each in (tokenize, train, answers, merge)}
    print(json.dumps(figures[sys.argv[1]](*sys.argv[2:])))
