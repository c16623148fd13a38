"""Walk every architecture in a process of its own and write the table: `python -m tests.matrix`.

Names given after it are walked alone, and printed only.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.matrix.one import STEPS

LIMIT = 240  # seconds for one architecture
PAGE = Path(__file__).parents[2] / "docs" / "MODELS.md"
# Registered for causal language modelling, and no language model of its own to be trained on text.
NO_TEXT = {
    "blt": "reads bytes that its own patcher cuts, not tokens",
    "emu3": "draws images; its text part cannot be loaded by itself",
    "fuyu": "image and text",
    "gemma3n": "image, sound and text; its text part is gemma3n_text",
    "gemma4_assistant": "a draft head for another model",
    "gemma4_unified_assistant": "a draft head for another model",
    "git": "describes images",
    "got_ocr2": "reads images",
    "mllama": "image and text",
    "moshi": "speech",
    "moss_transcribe_diarize": "speech",
    "musicgen": "music",
    "musicgen_melody": "music",
    "trocr": "the decoder of an image reader",
    "whisper": "speech",
}


def names() -> list[str]:
    """The model types that transformers registers for causal language modelling."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def walked(model_type: str) -> dict[str, str]:
    """The results of one architecture; a crash and running out of time are results, too."""
    argv = [sys.executable, "-m", "tests.matrix.one", model_type]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, env=env)
    except subprocess.TimeoutExpired:
        return {"build": f"not done within {LIMIT} s"}
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines() or [""]
        return {"build": f"ended with {done.returncode}: {lines[-1][:160]}"}


def passed(results: dict[str, str]) -> bool:
    """Whether every step held."""
    return all(results.get(step) == "" for step in STEPS)


def walk(wanted: Iterable[str]) -> dict[str, dict[str, str]]:
    """The results of many, two at a time."""
    found: dict[str, dict[str, str]] = {}
    with ThreadPoolExecutor(2) as pool:
        for name, results in zip(wanted, pool.map(walked, wanted), strict=True):
            found[name] = results
            reason = "" if passed(results) else next(why for why in results.values() if why)
            print(f"{name:28}{reason or 'ok'}", flush=True)
    return found


def page(found: dict[str, dict[str, str]]) -> str:
    """The table as Markdown."""
    import transformers

    good = sum(map(passed, found.values()))
    lines = [
        "# Architectures",
        "",
        f"Written by `python -m tests.matrix` with transformers {transformers.__version__}: a tiny",
        "random model of each text architecture that it registers for causal language modelling is",
        "trained for two LoRA steps on all linear layers, reloaded with its adapter, merged, asked",
        f"for eight tokens. {good} of {len(found)} pass ({good / len(found):.0%}).",
        "",
        "| architecture | " + " | ".join(STEPS[1:]) + " | reason |",
        "|---" * (len(STEPS) + 1) + "|",
    ]
    for name, results in found.items():
        cells = ["yes" if results.get(step) == "" else "no" for step in STEPS[1:]]
        reason = next((why for why in results.values() if why), "").replace("|", "\\|")
        lines.append(f"| {name} | {' | '.join(cells)} | {reason} |")
    lines += ["", "Not walked, since they are no language models of their own:", ""]
    lines += [f"- {name}: {why}" for name, why in NO_TEXT.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:]:
        walk(sys.argv[1:])
    else:
        PAGE.write_text(page(walk([name for name in names() if name not in NO_TEXT])))
