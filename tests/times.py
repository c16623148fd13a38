"""Compare guesses of time with real trainings: `python -m tests.times FOLDER [write] [NUMBER...]`.

Each case is a training of the starter model in a process of its own on the CPU, before which some
steps are measured (`tuneboard estimate --measure`). The time that is said to be left is read before
the first step and after 20 steps, and compared with what the rest then took. FOLDER keeps results
and paces, so that cases may be measured one by one; `write` puts the table of all into
docs/estimates.md.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.estimate import PAGE, ROOT

BEGIN, END = "<!-- times: begin -->\n", "<!-- times: end -->\n"
MODEL = ROOT / "saves" / "models" / "SmolLM2-135M-Instruct"
AFTER = 20  # steps
IDENTITY = {"dataset": "identity"}
GENERAL = {"dataset": "general_en", "cutoff_len": 256}
WITHOUT = {"disable_gradient_checkpointing": True}
CASES: list[dict[str, Any]] = [
    {**IDENTITY, **WITHOUT, "per_device_train_batch_size": 3},
    {**IDENTITY, **WITHOUT, "per_device_train_batch_size": 5, "max_steps": 28},
    {**IDENTITY, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 3},
    {**GENERAL, **WITHOUT, "per_device_train_batch_size": 2},
    {**GENERAL, **WITHOUT, "per_device_train_batch_size": 2, "group_by_length": True},
    {**IDENTITY, **WITHOUT, "val_size": 12, "eval_steps": 10, "save_strategy": "steps"},
    {**IDENTITY, **WITHOUT, "finetuning_type": "full", "per_device_train_batch_size": 2},
    {**GENERAL, **WITHOUT, "cutoff_len": 192, "packing": True, "per_device_train_batch_size": 1},
    {"dataset": "pretrain_en", **WITHOUT, "stage": "pt", "cutoff_len": 128},
    {"dataset": "preference_en", **WITHOUT, "stage": "dpo", "per_device_train_batch_size": 1},
]
COMMON = {
    "model_name_or_path": str(MODEL),
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "max_steps": 32,
    "save_strategy": "no",
    "save_steps": 10,
    "plot_loss": False,
}


def measure(number: int, home: Path) -> dict[str, Any]:
    """Train a case in this process; what was said to be left, and what was."""
    from backend.contract.arguments.arguments import parse, resolve, to_argv
    from backend.contract.texts.problems import errors
    from backend.train import run
    from backend.training.pace import Pace
    from backend.training.timing import Timing

    said: list[tuple[float, int, float | None]] = []
    ends: list[float] = []
    left, keep = Pace.remaining, Timing.keep

    def note(pace: Pace) -> float | None:
        seconds = left(pace)
        said.append((time.monotonic(), len(pace.steps), seconds))
        return seconds

    def end(timing: Timing, run: str) -> None:
        ends.append(time.monotonic())
        keep(timing, run)

    values, problems = parse({**COMMON, **CASES[number]}, "train")
    assert not errors(problems), problems
    words = to_argv(values, "train")
    subprocess.run([sys.executable, "-m", "backend", "estimate", *words, "--measure"], check=True)
    Pace.remaining, Timing.keep = note, end
    folder = home / "saves" / f"case-{number}-{os.getpid()}"
    folder.mkdir(parents=True)
    run(resolve(values), folder)
    at = {steps: (ends[0] - moment, seconds) for moment, steps, seconds in reversed(said)}
    return {"case": number, "steps": said[-1][1], "before": at[0], "after": at[AFTER]}


def error(pair: tuple[float, float | None]) -> float | None:
    """How far what was said lies from what was left, as a share of that."""
    return None if pair[1] is None else pair[1] / pair[0] - 1


def name(number: int) -> str:
    """The arguments of a case for the table."""
    options = {key: each for key, each in CASES[number].items() if key != "dataset"}
    options.pop("disable_gradient_checkpointing", None)
    shown = ", ".join(f"{key} {each}".lower() for key, each in options.items())
    return f"{CASES[number]['dataset']}, {shown}"


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown, with the medians of the errors."""
    columns = [[error(row[key]) for row in results] for key in ("before", "after")]
    medians = [
        statistics.median(abs(each) for each in column if each is not None) for column in columns
    ]
    lines = [
        f"{len(results)} trainings of the starter model. Median error before the first step, from"
        f" steps measured beforehand: {medians[0]:.1%}; after {AFTER} steps: {medians[1]:.1%}.",
        "",
        "| arguments | steps | seconds | error before | left at step 20, s | error then |",
        "|---" * 6 + "|",
    ]
    for row in results:
        errors = [
            "-" if each is None else f"{each:+.1%}"
            for each in map(error, (row["before"], row["after"]))
        ]
        cells = [name(row["case"]), row["steps"], round(row["before"][0]), errors[0]]
        cells += [round(row["after"][0]), errors[1]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def main(words: list[str]) -> None:
    """Measure the cases with these numbers, each in a process of its own; write the table."""
    home = Path(words[0]).absolute()
    if words[1:2] == ["child"]:
        print("RESULT", json.dumps(measure(int(words[2]), home)))
        return
    (home / "saves").mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "data", home / "data", dirs_exist_ok=True)
    results = home / "results.jsonl"
    for word in filter(str.isdigit, words[1:]):
        env = {**os.environ, "TUNEBOARD_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        argv = [sys.executable, "-m", "tests.times", str(home), "child", word]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        assert lines, done.stderr[-3000:]
        with results.open("a") as file:
            file.write(lines[0].removeprefix("RESULT ") + "\n")
        print(lines[0], file=sys.stderr)
    if "write" in words:
        newest = {row["case"]: row for row in map(json.loads, results.read_text().splitlines())}
        before, rest = PAGE.read_text().split(BEGIN)
        text = table([newest[number] for number in sorted(newest)])
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
