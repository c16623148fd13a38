"""trl's part of tests.bench_speed: the same rows, adapter and numbers of everything; its defaults.

`python -m tests.bench_trl dpo|grpo OPTIONS`, OPTIONS as JSON; prints its figures as JSON. It
computes in float32, since its default, bf16, is slower on a processor without instructions for it.
"""

import json
import os
import sys
import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

Json = dict[str, Any]


class Watch(TrainerCallback):
    """When the training began and its steps ended."""

    def __init__(self) -> None:
        self.moments: list[tuple[float, float]] = []

    def note(self, *_: Any, **__: Any) -> None:
        """Add seconds since the launch, and of the processor."""
        launched = float(os.environ["BENCH_LAUNCHED"])
        self.moments.append((time.time() - launched, sum(os.times()[:4])))

    on_train_begin = on_step_end = note


def dpo(options: Json) -> Json:
    """Pairs that are talks of one question and one answer."""
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    def make(row: Json) -> Json:
        question = "\n".join(filter(None, (row["instruction"], row["input"])))
        sides = {name: [_say("assistant", row[name])] for name in ("chosen", "rejected")}
        return {"prompt": [_say("user", question)], **sides}

    with open(options.pop("file"), encoding="utf-8") as file:
        rows = json.load(file)[: options.pop("rows")]
    return _train(DPOTrainer, DPOConfig, [*map(make, rows)], options)


def grpo(options: Json) -> Json:
    """Answers rewarded by how near their length comes to a number of characters."""
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    def judge(completions: Any, **_: Any) -> list[float]:
        return [-abs(len(each[0]["content"]) - 200) / 200 for each in completions]

    rows = [{"prompt": [_say("user", text)]} for text in options.pop("questions")]
    return _train(GRPOTrainer, GRPOConfig, rows, options, reward_funcs=judge)


def _say(role: str, text: str) -> Json:
    return {"role": role, "content": text}


def _train(trainer: Any, config: Any, rows: list[Json], options: Json, **more: Any) -> Json:
    model = options.pop("model_name_or_path")
    shared = {"bf16": False, "report_to": "none", "save_strategy": "no", "logging_steps": 1}
    watch = Watch()
    trainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=config(**shared, **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(
            r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[watch],
        **more,
    ).train()
    return {"moments": watch.moments}


if __name__ == "__main__":
    print(json.dumps({"dpo": dpo, "grpo": grpo}[sys.argv[1]](json.loads(sys.argv[2]))))
