"""Train with presets and with the defaults: `python -m tests.presets FOLDER [write] [NAME...]`.

Each preset by purpose trains the starter model on a small set made here, and so do the defaults on
as many rows: the last loss on rows that are held out decides whether the preset is shipped. FOLDER
keeps the results, so that presets may be measured one by one; `write` puts the table of all into
docs/presets.md. A NAME with "+argument=value" is a trial of another value.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from backend.contract.advice.purposes import EXAMPLES, LORA, PURPOSES, RATE, Choice, advise
from tests.estimate import ROOT

PAGE = ROOT / "docs" / "presets.md"
MARKS = "<!-- {}: begin -->\n", "<!-- {}: end -->\n"
MODEL = ROOT / "saves" / "models" / "SmolLM2-135M-Instruct"
COMMON = {
    "model_name_or_path": str(MODEL),
    "eval_strategy": "steps",
    "eval_steps": 100_000,
    "compute_accuracy": True,
    "per_device_eval_batch_size": 4,
    "save_strategy": "no",
    "plot_loss": False,
}
Rows = list[dict[str, Any]]

PLACES = ("Brelwick", "Oskarne", "Tolvany", "Quillmere", "Durnhavel", "Fenloch", "Marsden Vale")
PLACES += ("Ysterby", "Kalvadin", "Roth Amber", "Pellgrave", "Nimsey", "Worrack", "Ashtellan")
PEOPLE = ("Orla Vane", "Tomas Brill", "Edda Korr", "Ravi Stenn", "Lucia Maro", "Hob Tarrant")
PEOPLE += ("Nadia Frew", "Piet Oland", "Sana Wick", "Col Dresher", "Mina Aster", "Jory Pell")
PEOPLE += ("Ilse Fonn", "Bram Okoro")


def facts() -> tuple[Rows, Rows]:
    """Founders of towns that do not exist; a wording of the question is held out."""
    asked = ("Who founded {}?", "Name the founder of {}.", "{} was founded by whom?")
    pairs = list(zip(PLACES, PEOPLE, strict=True))
    answer = "{1} founded {0}."
    rows = [
        {"instruction": words.format(place), "output": answer.format(place, person)}
        for place, person in pairs
        for words in asked
    ]
    held = [
        {"instruction": f"Tell me who the founder of {place} is.", "output": answer.format(*pair)}
        for place, *_ in pairs
        for pair in pairs
        if pair[0] == place
    ]
    return rows, held


def style() -> tuple[Rows, Rows]:
    """General questions whose answers have a form of their own."""
    rows = []
    for row in _read("general_en")[:30]:
        first = row["output"].split(". ")[0].rstrip(".")
        output = f"[topic] {row['instruction'].rstrip('?')}\n[answer] {first}\n[end of note]"
        rows.append({**row, "output": output})
    return rows[:20], rows[20:30]


def tools() -> tuple[Rows, Rows]:
    """Calls of two functions; the cities, times and names that are held out come nowhere else."""
    signatures = [
        _function("get_weather", "Weather of a city", city="string"),
        _function("set_timer", "Start a timer", minutes="integer"),
    ]
    rows = []
    for number, place in enumerate(PLACES):
        calls = {
            f"How is the weather in {place} today?": ("get_weather", {"city": place}),
            f"Wake me in {3 * number + 7} minutes.": ("set_timer", {"minutes": 3 * number + 7}),
        }
        for question, (name, arguments) in calls.items():
            call = json.dumps({"name": name, "arguments": arguments})
            turns = [
                {"from": "human", "value": question},
                {"from": "function_call", "value": call},
            ]
            rows.append({"conversations": turns, "tools": json.dumps(signatures)})
    return rows[:12], rows[12:20]


def _function(name: str, description: str, **types: str) -> dict[str, Any]:
    properties = {key: {"type": each} for key, each in types.items()}
    parameters = {"type": "object", "properties": properties, "required": list(types)}
    return {"name": name, "description": description, "parameters": parameters}


def language() -> tuple[Rows, Rows]:
    """The texts of the page in Vietnamese, which the starter model does not know."""
    texts: dict[str, str] = json.loads((ROOT / "locales" / "vi.json").read_text(encoding="utf-8"))
    rows = [{"text": text} for key, text in texts.items() if key.endswith(".help")]
    return rows[:70], rows[70:90]


def preference() -> tuple[Rows, Rows]:
    """Some of the demo pairs."""
    rows = _read("preference_en")
    return rows[:12], rows[12:20]


def identity() -> tuple[Rows, Rows]:
    """Some rows of the demo set, which asks for one name in many ways."""
    text = json.dumps(_read("identity"))
    rows = json.loads(text.replace("{{name}}", "Tuno").replace("{{author}}", "the Tuneboard team"))
    return rows[:40:2], rows[1:21:2]


def _read(name: str) -> Rows:
    rows: Rows = json.loads((ROOT / "data" / f"{name}.json").read_text(encoding="utf-8"))
    return rows


# Purposes that are not measured yet, and so are not shipped.
CANDIDATES: dict[str, tuple[Choice, ...]] = {
    "style": (
        EXAMPLES,
        LORA,
        RATE,
        Choice("lora_rank", "little_room", 8),
        Choice("num_train_epochs", "few_epochs", 2.0),
        Choice("gradient_accumulation_steps", "many_steps", 2),
    ),
    "language": (
        Choice("stage", "texts", "pt"),
        LORA,
        RATE,
        Choice("lora_rank", "much_room", 64),
        Choice("num_train_epochs", "few_epochs", 2.0),
        Choice("gradient_accumulation_steps", "many_steps", 2),
    ),
    "tools": (
        EXAMPLES,
        LORA,
        RATE,
        Choice("lora_rank"),
        Choice("cutoff_len", "long_tools", 4096),
        Choice("gradient_accumulation_steps", "many_steps", 2),
    ),
    "preference": (
        Choice("stage", "pairs", "dpo"),
        LORA,
        RATE,
        Choice("pref_beta", "beta", 0.1),
        Choice("num_train_epochs", "few_epochs", 2.0),
        Choice("gradient_accumulation_steps", "many_steps", 2),
    ),
    "small_card": (
        LORA,
        RATE,
        Choice("quantization_bit", "four_bits", "4"),
        Choice("per_device_train_batch_size", "one_row", 1),
        Choice("gradient_accumulation_steps", "same_rows", 8),
        Choice("cutoff_len", "short_rows", 1024),
    ),
    "first_try": (
        EXAMPLES,
        LORA,
        RATE,
        Choice("max_samples", "few_rows", 500),
        Choice("per_device_train_batch_size", "few_rows_a_step", 4),
        Choice("gradient_accumulation_steps", "many_steps", 1),
        Choice("cutoff_len", "short_rows", 512),
        Choice("logging_steps", "see_soon", 1),
    ),
}
# The set of each purpose, and what both trainings of it have beside their own values.
SETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "facts": (facts, {}),
    "style": (style, {}),
    "tools": (tools, {}),
    "language": (language, {"stage": "pt", "cutoff_len": 128}),
    "preference": (preference, {"stage": "dpo"}),
    "recommended": (identity, {}),
    "first_try": (identity, {}),
    "small_card": (identity, {}),
}
COLUMNS = {
    "language": {"columns": {"prompt": "text"}},
    "tools": {"formatting": "sharegpt"},
    "preference": {"ranking": True},
}


def measure(name: str, home: Path, steps: int | None, more: dict[str, Any]) -> dict[str, Any]:
    """Train in this process, with the preset, or with the defaults for so many steps."""
    from backend.contract.advice.model_kind import kind_of
    from backend.contract.arguments.arguments import parse, resolve
    from backend.contract.texts.problems import errors
    from backend.train import run

    own = SETS[name][1]
    values: dict[str, Any] = {**COMMON, "dataset": name, "eval_dataset": f"{name}_held"}
    if steps is None:
        stage = own.get("stage", "sft")
        choices = {**PURPOSES, **CANDIDATES}[name]
        advised = advise(choices, kind_of(str(MODEL)), stage, "lora")
        values |= {each.argument: each.value for each in advised if each.argument != "template"}
    else:
        values |= {"max_steps": steps}
    parsed, problems = parse({**values, **own, **more, "eval_on_start": steps is None}, "train")
    assert not errors(problems), problems
    arguments = resolve(parsed)
    folder = home / "saves" / f"{name}-{os.getpid()}"
    folder.mkdir(parents=True)
    run(arguments, folder)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    evaluated = [row for row in map(json.loads, lines) if row.get("eval_loss") is not None]
    results = json.loads((folder / "all_results.json").read_text())
    last = evaluated[-1]
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    return {
        "steps": last["step"],
        "rows": last["step"] * batch,
        "seconds": results["train_runtime"],
        "base": evaluated[0]["eval_loss"] if steps is None else None,
        "loss": last["eval_loss"],
        "more": {key: each for key, each in {**results, **last}.items() if "accura" in key},
    }


def compare(word: str, home: Path) -> dict[str, Any]:
    """Train with a preset, then with the defaults on as many rows, each in a process of its own."""
    name, *changes = word.split("+")
    preset = _start(home, name, "preset", dict(each.split("=") for each in changes))
    plain_file = home / f"{name}-plain.json"
    steps = math.ceil(preset["rows"] * (2 if name == "small_card" else 1) / 16)
    plain = json.loads(plain_file.read_text()) if plain_file.exists() else None
    if plain is None or plain["steps"] < steps:
        plain = _start(home, name, str(steps), {})
        plain_file.write_text(json.dumps(plain))
    return {"name": word, "preset": preset, "plain": plain}


def _start(home: Path, name: str, steps: str, more: dict[str, str]) -> dict[str, Any]:
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    argv = [sys.executable, "-m", "tests.presets", str(home), "child", name, steps]
    done = subprocess.run(
        [*argv, json.dumps(more)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-1500:] + done.stderr[-3000:]
    print(name, steps, more, lines[0], file=sys.stderr, flush=True)
    result: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return result


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| preset | held-out loss before | with the preset | with the defaults | rows seen |"
        " seconds, preset / defaults |",
        "|---" * 6 + "|",
    ]
    for row in results:
        preset, plain = row["preset"], row["plain"]
        seconds = f"{preset['seconds']:.0f} / {plain['seconds']:.0f}"
        losses = [f"{each:.3f}" for each in (preset["base"], preset["loss"], plain["loss"])]
        lines.append(f"| {' | '.join([row['name'], *losses, str(preset['rows']), seconds])} |")
    return "\n".join([*lines, ""])


def recommended() -> str:
    """The table of recommended values as Markdown."""
    from backend.contract.advice.recommended import SOURCES, TABLE

    lines = ["| argument | value | for | range without a remark | source |", "|---" * 5 + "|"]
    for row in TABLE:
        name, address = SOURCES[row.source]
        method = {True: "adapters", False: "all weights", None: ""}[row.adapter]
        size = "" if not row.over else f"over {row.over:g}B"
        size += "" if row.up_to == math.inf else f"{' ' if size else ''}up to {row.up_to:g}B"
        parts = [row.family, size, method, "/".join(row.stages)]
        plain = "" if row.plain is None else f"{row.plain[0]:g} to {row.plain[1]:g}"
        value = f"{row.value:g}" if isinstance(row.value, float) else str(row.value)
        source = f"[{name}]({address})" if address else "measured, see above"
        shown = ", ".join(filter(None, parts)) or "all"
        lines.append(f"| `{row.argument}` | {value} | {shown} | {plain} | {source} |")
    return "\n".join([*lines, ""])


def write(name: str, text: str) -> None:
    """Put a table between its marks in the page of the documents."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def prepare(home: Path) -> None:
    """Write the sets and their registry."""
    (home / "data").mkdir(parents=True, exist_ok=True)
    registry = {}
    for name, (make, _) in SETS.items():
        for key, rows in zip((name, f"{name}_held"), make(), strict=True):
            (home / "data" / f"{key}.json").write_text(json.dumps(rows, ensure_ascii=False))
            registry[key] = {"file_name": f"{key}.json", **COLUMNS.get(name, {})}
    (home / "data" / "dataset_info.json").write_text(json.dumps(registry))


def main(words: list[str]) -> None:
    """Measure presets by name; write the table."""
    home = Path(words[0]).absolute()
    if words[1:2] == ["child"]:
        steps = None if words[3] == "preset" else int(words[3])
        print("RESULT", json.dumps(measure(words[2], home, steps, json.loads(words[4]))))
        return
    prepare(home)
    results = home / "results.jsonl"
    for word in words[1:]:
        if word != "write":
            with results.open("a") as file:
                file.write(json.dumps(compare(word, home)) + "\n")
    if "write" in words:
        newest = {row["name"]: row for row in map(json.loads, results.read_text().splitlines())}
        write("presets", table(list(newest.values())))
        write("recommended", recommended())


if __name__ == "__main__":
    main(sys.argv[1:])
