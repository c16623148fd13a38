"""Compare estimates of memory with real trainings: `python -m tests.estimate [write] [PART...]`.

Each case is a `tuneboard train` of two steps on the CPU, of a random model that is made here; its
peak is what the kernel says of the process (ru_maxrss). PART is "looked_at" or "kept_aside": the
cases of the second part were not looked at while the estimate was written. `write` puts the table
into docs/estimates.md.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "estimates.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
MB = 1e6
ROWS = 24

# Of small models: wide vocabularies and long batches take much memory and little arithmetic.
SMALL = {"max_position_embeddings": 4096, "bos_token_id": None}
LLAMA = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 10, **SMALL}
LLAMA |= {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {**LLAMA, "vocab_size": 32_000, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {**LLAMA, "vocab_size": 48_000, "num_hidden_layers": 6}),
    "gpt2": (
        "gpt2",
        {"n_embd": 320, "n_layer": 8, "n_head": 8, "vocab_size": 24_000, "n_positions": 4096},
    ),
    "gemma3": (
        "gemma3_text",
        {
            **LLAMA,
            "vocab_size": 40_000,
            "sliding_window": 256,
            "num_hidden_layers": 7,
            "layer_types": None,
        },
    ),
    "phi3": ("phi3", {**LLAMA, "vocab_size": 20_000, "num_hidden_layers": 9}),
    "gpt_neox": (
        "gpt_neox",
        {
            "hidden_size": 320,
            "intermediate_size": 1280,
            "num_hidden_layers": 7,
            "num_attention_heads": 8,
            "vocab_size": 30_000,
            "max_position_embeddings": 4096,
        },
    ),
    "olmo2": ("olmo2", {**LLAMA, "vocab_size": 16_000, "num_hidden_layers": 12}),
    "mistral": ("mistral", {**LLAMA, "vocab_size": 64_000, "num_hidden_layers": 5}),
}
HALF = ("qwen3", "phi3")  # their files are bfloat16


@dataclass(frozen=True)
class Case:
    """One training: a model, a stage, and what else differs from the defaults."""

    model: str
    stage: str
    batch: int
    length: int
    options: dict[str, Any] = field(default_factory=dict)
    even: bool = True  # rows of one length: no padding

    @property
    def name(self) -> str:
        """A name for the table."""
        return ", ".join(f"{key} {value}".lower() for key, value in self.options.items()) or "-"


WITHOUT = {"disable_gradient_checkpointing": True}
FULL, FREEZE = {"finetuning_type": "full"}, {"finetuning_type": "freeze"}
EAGER, ACCUMULATED = {"flash_attn": "disabled"}, {"gradient_accumulation_steps": 2}
DRAWN = {"max_new_tokens": 24, "reward_functions": "length"}
LOOKED_AT = [
    *(Case("llama", "pt", batch, 512, {**FULL, **WITHOUT}) for batch in (1, 3)),
    Case("llama", "pt", 2, 512, FULL),
    Case("llama", "pt", 4, 512, WITHOUT),
    Case("llama", "pt", 4, 512),
    Case("llama", "pt", 1, 1024, {**FULL, **WITHOUT, **EAGER}),
    Case("llama", "pt", 1, 512, {**FULL, **WITHOUT, **ACCUMULATED}),
    Case("llama", "pt", 2, 512, {**FREEZE, **WITHOUT}),
    Case("llama", "sft", 2, 512, WITHOUT),
    Case("llama", "sft", 2, 512, {**FULL, **WITHOUT}, even=False),
    Case("llama", "sft", 2, 1024, WITHOUT, even=False),
    Case("llama", "sft", 2, 512, {"finetuning_type": "oft", **WITHOUT}),
    Case("llama", "sft", 2, 512, {"quantization_bit": "4", **WITHOUT}),
    Case("llama", "sft", 2, 512, {"quantization_bit": "8", **WITHOUT}),
    Case("llama", "sft", 2, 512, {"finetuning_type": "prompt", **WITHOUT}),
    Case("llama", "dpo", 1, 512, WITHOUT),
    Case("llama", "dpo", 1, 512, {**FULL, **WITHOUT}),
    Case("llama", "kto", 2, 512, WITHOUT),
    Case("llama", "rm", 1, 512, {**FULL, **WITHOUT}),
    Case("llama", "rm", 2, 512, WITHOUT),
    Case("llama", "grpo", 1, 128, {**DRAWN, **WITHOUT}),
    Case("qwen3", "pt", 2, 512, {**FULL, **WITHOUT}),
    Case("qwen3", "pt", 2, 512, FULL),
    Case("qwen3", "sft", 4, 256, WITHOUT),
    Case("qwen3", "sft", 1, 512, {"use_dora": True, **WITHOUT}),
    Case("qwen3", "sft", 2, 512, {"optim": "adafactor", **FULL, **WITHOUT}),
    Case("qwen3", "sft", 2, 512, {"optim": "sgd", **FULL}),
    Case("qwen3", "dpo", 1, 256, {**FULL, **WITHOUT}, even=False),
    Case("qwen3", "kto", 2, 512, FREEZE),
    Case("gpt2", "pt", 2, 512, {**FULL, **WITHOUT}),
    Case("gpt2", "pt", 2, 512, WITHOUT),
    Case("gpt2", "sft", 1, 1024, {**FULL, **WITHOUT, **EAGER}),
    Case("gpt2", "sft", 2, 512, WITHOUT, even=False),
    Case("gpt2", "dpo", 1, 512, WITHOUT),
]
KEPT_ASIDE = [
    Case("gemma3", "pt", 2, 384, {**FULL, **WITHOUT}),
    Case("gemma3", "sft", 3, 320, WITHOUT, even=False),
    Case("gemma3", "sft", 3, 320, FULL),
    Case("gemma3", "dpo", 3, 192, WITHOUT),
    Case("gemma3", "grpo", 1, 128, {**DRAWN, "num_generations": 6, **WITHOUT}),
    Case("phi3", "pt", 3, 384, {**FULL, **WITHOUT}),
    Case("phi3", "pt", 3, 384, {"finetuning_type": "adalora", **WITHOUT}),
    Case("phi3", "sft", 3, 384, {**FREEZE, **WITHOUT}, even=False),
    Case("phi3", "rm", 3, 192, {**FULL, **WITHOUT}),
    Case("phi3", "kto", 3, 192, {**FULL, **WITHOUT}),
    Case("gpt_neox", "pt", 3, 384, {**FULL, **WITHOUT}),
    Case("gpt_neox", "pt", 3, 384, {**WITHOUT, **EAGER}),
    Case("gpt_neox", "sft", 3, 384, {"lora_rank": 64, **WITHOUT}),
    Case("gpt_neox", "sft", 3, 384, {**FULL, **ACCUMULATED}, even=False),
    Case("gpt_neox", "dpo", 3, 192, {"pref_loss": "simpo", **FULL, **WITHOUT}),
    Case("olmo2", "pt", 3, 384, {**FULL, **WITHOUT}),
    Case("olmo2", "sft", 3, 384, {"finetuning_type": "ia3", **WITHOUT}),
    Case("olmo2", "sft", 3, 384, {"quantization_bit": "4", **WITHOUT}, even=False),
    Case("olmo2", "rm", 3, 192, WITHOUT, even=False),
    Case("olmo2", "kto", 3, 384, WITHOUT),
    Case("mistral", "pt", 3, 192, {**FULL, **WITHOUT}),
    Case("mistral", "pt", 3, 384, {"optim": "rmsprop", **FULL}),
    Case("mistral", "sft", 3, 384, {"finetuning_type": "vera", **WITHOUT}),
    Case("mistral", "sft", 3, 384, {"finetuning_type": "prefix", **WITHOUT}),
    Case("mistral", "dpo", 3, 192, {**FULL, **WITHOUT}),
    Case("mistral", "sft", 3, 192, {"use_dft_loss": True, **FULL, **WITHOUT}),
    Case("mistral", "grpo", 1, 128, {**DRAWN, **FULL, **WITHOUT}),
]
PARTS = {"looked_at": LOOKED_AT, "kept_aside": KEPT_ASIDE}


@dataclass(frozen=True)
class Result:
    """What was said before and what was taken, in bytes."""

    case: Case
    said: int
    taken: int
    parts: dict[str, int]
    phase: str

    @property
    def error(self) -> float:
        """How far the estimate lies from the peak, as a share of the peak."""
        return self.said / self.taken - 1


def save_model(name: str, home: Path) -> Path:
    """A random model with a small tokenizer, saved once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.backend.conftest import make_tokenizer

    folder = home / "models" / name
    if not folder.exists():
        kind, sizes = MODELS[name]
        tokenizer = make_tokenizer()
        ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**sizes, **ids}))
        model.to(torch.bfloat16 if name in HALF else torch.float32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def save_data(case: Case, home: Path) -> str:
    """A data set of random letters, each a token, for a case; returns its name."""
    chance = random.Random(0)
    name = f"{case.stage}-{case.length}-{case.even}".replace("_", "")
    longest = case.length + 64

    def letters(count: int) -> str:
        return "".join(chance.choice("qzxjvkwyQZXJVKWY#$%&@") for _ in range(count))

    rows = []
    for index in range(ROWS):
        size = longest if case.even or not index % 4 else chance.randint(longest // 3, longest)
        text = {"text": letters(size)}
        asked = {"instruction": letters(size // 2), "input": ""}
        rows.append(
            {
                "pt": text,
                "grpo": {**asked, "instruction": letters(size), "output": "x"},
                "dpo": {**asked, "chosen": letters(size // 2), "rejected": letters(size // 2)},
                "rm": {**asked, "chosen": letters(size // 2), "rejected": letters(size // 2)},
                "kto": {**asked, "output": letters(size // 2), "kto_tag": bool(index % 2)},
            }.get(case.stage, {**asked, "output": letters(size // 2)})
        )
    folder = home / "data"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(rows))
    columns: dict[str, Any] = {"pt": {"columns": {"prompt": "text"}}}.get(case.stage, {})
    if case.stage in {"dpo", "rm"}:
        columns = {"ranking": True}
    if case.stage == "kto":
        columns = {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "kto_tag"}}
    info = folder / "dataset_info.json"
    entries = json.loads(info.read_text()) if info.exists() else {}
    info.write_text(json.dumps({**entries, name: {"file_name": f"{name}.json", **columns}}))
    return name


def values_of(case: Case, home: Path) -> dict[str, Any]:
    """The arguments of a case."""
    return {
        "model_name_or_path": str(save_model(case.model, home)),
        "dataset": save_data(case, home),
        "dataset_dir": str(home / "data"),
        "stage": case.stage,
        "per_device_train_batch_size": case.batch,
        "gradient_accumulation_steps": 1,
        "cutoff_len": case.length,
        "max_steps": 2,
        "save_strategy": "no",
        "plot_loss": False,
        **case.options,
    }


def predict(values: dict[str, Any]) -> Any:
    """The estimate of a case, as `tuneboard estimate` gives it."""
    from backend.contract.arguments.arguments import parse, resolve
    from backend.contract.texts.problems import errors
    from backend.data import lengths, templates
    from backend.estimate.estimate import estimate
    from backend.model import load

    parsed, problems = parse(values, "train")
    assert not errors(problems), problems
    resolved = resolve(parsed)
    template = templates.load(resolved, load.tokenizer(resolved))
    return estimate(resolved, lengths.measure(resolved, template, exact=True))


def train(values: dict[str, Any], home: Path, name: str) -> int:
    """Train in a process of its own; the most memory that it had, in bytes."""
    from backend.contract.arguments.command import Command

    folder = home / "saves" / name
    folder.mkdir(parents=True)
    command = Command.build("train", {**values, "output_dir": str(folder)})
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "TUNEBOARD_RUN": str(folder)}
    env |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with open(home / f"{name}.log", "wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "backend", *command.argv[1:]],
            cwd=home,
            env=env,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit((home / f"{name}.log").read_text()[-3000:])
    return usage.ru_maxrss * 1024


def measure(cases: Iterable[Case], home: Path) -> list[Result]:
    """All cases, one after the other; each is printed as it ends."""
    home.mkdir(parents=True)
    os.environ["TUNEBOARD_HOME"] = str(home)
    results = []
    for index, case in enumerate(cases):
        values = values_of(case, home)
        figures = predict(values)
        name = f"{index}-{case.model}-{case.stage}"
        result = Result(
            case,
            figures.total,
            train(values, home, name),
            figures.parts,
            figures.phase,
        )
        results.append(result)
        print(row(result), file=sys.stderr, flush=True)
        parts = {key: round(size / MB) for key, size in result.parts.items()}
        print("   ", result.phase, parts, file=sys.stderr, flush=True)
    return results


def row_start(case: Case) -> tuple[str, str, str, str]:
    """The cells that say which case a line of the table is about."""
    batch = f"{case.batch} x {case.length}{'' if case.even else ', padded'}"
    return case.model, case.stage, batch, case.name


def row(result: Result) -> str:
    """A line of the table."""
    cells = (
        *row_start(result.case),
        f"{result.said / MB:,.0f}",
        f"{result.taken / MB:,.0f}",
        f"{result.error:+.1%}",
    )
    return f"| {' | '.join(cells)} |"


def table(part: str, results: list[Result]) -> str:
    """The results of a part as Markdown, with the median and the worst error."""
    errors = [abs(result.error) for result in results]
    summary = f"{len(results)} trainings, median error {statistics.median(errors):.1%}"
    head = "| model | stage | batch | arguments | estimate, MB | peak, MB | error |"
    title = "Looked at while the estimate was written" if part == "looked_at" else "Kept aside"
    lines = [f"### {title}", "", f"{summary}, worst {max(errors):.1%}.", "", head, "|---" * 7 + "|"]
    return "\n".join([*lines, *map(row, results), ""])


def main(words: list[str]) -> None:
    """Measure the named parts, and print or write the tables."""
    names = [word for word in words if word in PARTS] or list(PARTS)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ESTIMATE_TMP")) as folder:
        tables = [table(name, measure(PARTS[name], Path(folder) / name)) for name in names]
    text = "\n".join(tables)
    if "write" in words:
        before, rest = PAGE.read_text().split(BEGIN)
        text = before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1]
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
