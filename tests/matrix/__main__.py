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

from tests.matrix.one import STEPS, seeing

Walked = dict[str, dict[str, str]]
LIMIT = 240  # seconds for one architecture
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
# Registered for causal language modeling, and no language model of its own to be trained on text.
NO_TEXT = {
    "blt": "reads bytes that its own patcher cuts, not tokens",
    "gemma4_assistant": "a draft head for another model",
    "gemma4_unified_assistant": "a draft head for another model",
    "moshi": "speech",
    "musicgen": "music",
    "musicgen_melody": "music",
    "trocr": "the decoder of an image reader",
    "whisper": "speech",
}


def names() -> list[str]:
    """The model types of text alone that transformers registers for causal language modeling."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(seeing()) - set(NO_TEXT))


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
    return not any(results.values()) and set(STEPS) <= results.keys()


def walk(wanted: Iterable[str]) -> Walked:
    """The results of many, two at a time."""
    found: Walked = {}
    with ThreadPoolExecutor(2) as pool:
        for name, results in zip(wanted, pool.map(walked, wanted), strict=True):
            found[name] = results
            reason = "" if passed(results) else next(why for why in results.values() if why)
            print(f"{name:28}{reason or 'ok'}", flush=True)
    return found


def page(texts: Walked, seen: Walked) -> str:
    """The tables as Markdown."""
    import transformers

    good = sum(map(passed, texts.values()))
    lines = [
        "# Architectures",
        "",
        f"Written by `python -m tests.matrix` with transformers {transformers.__version__}: a tiny",
        "random model of each text architecture that it registers for causal language modeling is",
        "trained for two LoRA steps on all linear layers, reloaded with its adapter, merged, asked",
        f"for eight tokens. {good} of {len(texts)} pass ({good / len(texts):.0%}).",
        "",
        "| architecture | " + " | ".join(STEPS[1:]) + " | reason |",
        "|---" * (len(STEPS) + 1) + "|",
    ]
    for name, results in texts.items():
        cells = ["yes" if results.get(step) == "" else "no" for step in STEPS[1:]]
        lines.append(f"| {name} | {' | '.join(cells)} | {_reason(results)} |")
    lines += ["", "Not walked, since they are no language models of their own:", ""]
    lines += [f"- {name}: {why}" for name, why in NO_TEXT.items()]
    return "\n".join(lines + _seeing_table(seen)) + "\n"


def _seeing_table(seen: Walked) -> list[str]:
    """What becomes of each architecture that also sees or hears: trained whole, or refused."""
    whole = [name for name, results in seen.items() if passed(results)]
    refused = {
        name: _reason(results)
        for name, results in seen.items()
        if _reason(results).startswith("refused: ")
    }
    unknown = {
        name: _reason(results)
        for name, results in seen.items()
        if name not in whole and name not in refused
    }
    return [
        "",
        "# Models that also see or hear",
        "",
        "They are trained on text only. What sees or hears (towers, connectors) stays to the",
        "bit, and every result holds every tensor of the base under its name, in the same class. A",
        "checkpoint of which that cannot be had is refused, before its weights are read or before",
        "the first step. The same walk, with a merge and a step of full training whose tensors are",
        "compared with those of the base:",
        "",
        f"Whole ({len(whole)}): {', '.join(whole)}.",
        "",
        f"Refused ({len(refused)}):",
        "",
        *(f"- {name}: {why.removeprefix('refused: ')}" for name, why in refused.items()),
        "",
        f"Not known ({len(unknown)}), since no tiny model of them could be made, or it failed by",
        "itself; the same rule holds for them:",
        "",
        *(f"- {name}: {why}" for name, why in unknown.items()),
    ]


def _reason(results: dict[str, str]) -> str:
    return next((why for why in results.values() if why), "").replace("|", "\\|")


if __name__ == "__main__":
    if sys.argv[1:]:
        walk(sys.argv[1:])
    else:
        PAGE.write_text(page(walk(names()), walk(seeing())))
