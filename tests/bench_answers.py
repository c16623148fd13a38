"""Predictions of the starter model with an adapter, beside plain loops over `generate`.

All run in the same call and in turns (A B A B), and are greedy. Compare the ratios: the times are
those of a machine that may do other things, too.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "saves" / "models" / "SmolLM2-135M-Instruct"
TOPICS = ("rivers", "bread", "the moon", "chess", "trains", "bees", "paper", "salt")


def question(number: int) -> list[dict[str, str]]:
    """The number-th question; they are of several lengths."""
    text = f"Write a long text about {TOPICS[number % len(TOPICS)]}, part {number}."
    return [{"role": "user", "content": text + " Say it in plain words." * (number % 4)}]


def prompt_of(tokenizer: Any, number: int) -> list[int]:
    """The token ids of a question."""
    ids: list[int] = tokenizer.apply_chat_template(
        question(number), add_generation_prompt=True, return_dict=False
    )
    return ids


def alternate(arms: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each arm over some rounds, in each of which all arms run in turn."""
    results: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            results[name].append(arm())
    return {name: statistics.median(each) for name, each in results.items()}


def show(medians: dict[str, float], unit: str, against: str) -> None:
    """Print medians and their ratios to one of them, then all as JSON."""
    for name, value in medians.items():
        print(f"{name:42}{value:10.2f} {unit}{value / medians[against]:8.2f}")
    print(json.dumps({name: round(value, 3) for name, value in medians.items()}))


def predict(*sizes: float) -> None:
    """Tokens a second of predictions with an adapter: [rows, tokens of each, rounds]."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from backend.contract.arguments.arguments import parse, resolve
    from backend.evaluation.evaluate import Predictor
    from backend.model import adapters
    from backend.running.report import Report

    rows, tokens, rounds = numbers(sizes, 24, 64, 3)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    prompts = [
        SimpleNamespace(prompt_ids=prompt_of(tokenizer, number), label="x")
        for number in range(rows)
    ]
    torch.manual_seed(0)
    config = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")

    def tuned() -> Any:
        return get_peft_model(AutoModelForCausalLM.from_pretrained(MODEL), config).eval()

    apart, fused = tuned(), adapters.fuse(tuned())

    def ours(model: Any, **options: Any) -> float:
        given = {"model_name_or_path": str(MODEL), "max_new_tokens": tokens, **options}
        values, _ = parse(given, "eval")
        template = SimpleNamespace(stop_ids=())
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            predictor = Predictor(model, tokenizer, template, resolve(values))
            predictor.run(prompts, Path(folder), Report(Path(folder)))
            return rows / (time.perf_counter() - began)

    def loop() -> float:
        began = time.perf_counter()
        for prompt in prompts:
            ids = torch.tensor([prompt.prompt_ids])
            apart.generate(ids, attention_mask=torch.ones_like(ids), **greedy(tokens))
        return rows / (time.perf_counter() - began)

    arms = {
        "tuneboard, by default": lambda: ours(fused),
        "two rows at once, adapter apart": lambda: ours(apart, per_device_eval_batch_size=2),
        "plain loop over generate": loop,
    }
    show(alternate(arms, rounds), "rows/s", "plain loop over generate")


def greedy(tokens: int) -> dict[str, Any]:
    """Options of generate for the likeliest answer, which nothing but its length ends early."""
    return {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 2}


def numbers(sizes: Sequence[float], *defaults: int) -> list[int]:
    """The sizes of the command line as whole numbers, with defaults for those that it lacks."""
    return [*map(int, sizes), *defaults[len(sizes) :]]
