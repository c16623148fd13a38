"""LLaMA-Factory's preparation of the rows of tests.bench_tokenize, in its own environment.

`VENV/bin/python tests/bench_rival.py MODEL CUTOFF HOME CORES`; nothing of ours is imported.
"""

import json
import resource
import sys
import tempfile
import time


def main(model: str, cutoff: str, home: str, cores: str) -> None:
    """Prepare the rows, and print rows a second, tokens a row and megabytes as JSON."""
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
    figures = {
        "rows_per_second": len(lengths) / seconds,
        "tokens_a_row": sum(lengths) / len(lengths),
        "megabytes": max(resource.getrusage(each).ru_maxrss for each in who) / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
