"""LLaMA-Factory's own examples, run here: `python -m tests.examples CHECKOUT [--run] [NAME ...]`.

CHECKOUT is a clone of LLaMA-Factory. Each file of the folders FOLDERS is given to the real command,
from inside the checkout, as its README says; only model, sizes and paths are other ones. Without
--run the checks before a start are all that happens. With it each is really run on tiny random
models, and docs/examples.md is written (with NAMEs, only their rows).
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import yaml

from backend.cli.tasks import parse_values
from backend.contract.folders.home import prepare
from backend.contract.texts.problems import TuneboardError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "examples.md"
FOLDERS = ("train_lora", "train_full", "train_qlora", "extras", "merge_lora", "inference")
TASKS = {"merge_lora": "export", "inference": "chat"}
LIMIT = 900  # seconds for one example
COUNTED = ("runs", "refused")
REFUSED = {2, 3, 4}  # exit codes of a command that does not start

# Sizes that fit the tiny models, where an example has the argument.
SMALL = {"lora_rank": 4, "galore_rank": 4, "apollo_rank": 4, "freeze_trainable_layers": 1}
TRAINED = {"max_samples": 8, "max_steps": 2, "cutoff_len": 256}
PREDICTED = {"max_samples": 2, "max_new_tokens": 8}
# Scripts of LLaMA-Factory that go with an example, and what stands for them here.
SCRIPTS = {
    "extras/fsdp_qlora/train.sh": "no script: `FORCE_TORCHRUN=1 tuneboard train` starts a process "
    "for each GPU",
    "extras/llama_pro/expand.sh": "no script: `use_llama_pro` adds the blocks when the run starts",
    "extras/pissa/init.sh": "no script: `pissa_init` makes the adapter when the run starts",
}
TOKENS = "extras/multi_tokens/tokens_cfg.yaml"  # a file that an argument names
QUANTIZED = {"AWQ": "awq", "GPTQ": "gptq", "AQLM": "aqlm"}
PICTURES = re.compile("vl|moss", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What became of an example: "runs", "refused" or "failed", and what was said."""

    outcome: str
    said: tuple[str, ...] = ()


class Examples:
    """The examples of a checkout, each as a subcommand and its words."""

    def __init__(self, checkout: Path, work: Path) -> None:
        self.checkout = checkout
        self.work = work
        self.sets = set(json.loads((checkout / "data" / "dataset_info.json").read_bytes()))

    def names(self) -> list[str]:
        """Every file of the folders, by its path below examples/."""
        found = [
            str(path.relative_to(self.checkout / "examples"))
            for folder in FOLDERS
            for path in (self.checkout / "examples" / folder).rglob("*")
            if path.suffix in {".yaml", ".sh"}
        ]
        return sorted(found, key=lambda name: (FOLDERS.index(name.split("/")[0]), name))

    def words(self, name: str) -> tuple[str, list[str]]:
        """The subcommand, and its words with everything overridden that needs to be."""
        path = self.checkout / "examples" / name
        task = TASKS.get(name.split("/")[0], "train")
        if name == TOKENS:
            return task, [
                "dataset=identity",
                f"new_special_tokens_config=examples/{name}",
                *_pairs(self._overrides(name, task, {"model_name_or_path": "Qwen/Qwen3-4B"})),
            ]
        if path.suffix == ".sh":
            line = path.read_text(encoding="utf-8").split("llamafactory-cli train", 1)[1]
            words = shlex.split(line.replace("\\\n", " ").replace("${MODEL_PATH}", "Qwen/Qwen3-4B"))
            return task, [*words, *_pairs(self._overrides(name, task, {"max_samples": 1000}))]
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        return task, [f"examples/{name}", *_pairs(self._overrides(name, task, given))]

    def _overrides(self, name: str, task: str, given: dict[str, object]) -> dict[str, object]:
        model = str(given.get("model_name_or_path") or "Qwen/Qwen3-4B")
        found: dict[str, object] = {"model_name_or_path": self._model(model, name)}
        if given.get("adapter_name_or_path"):
            found["adapter_name_or_path"] = f"saves/{self._family(model)}"
        if task == "export":
            return {**found, "export_dir": f"exported/{name}"}
        if task == "chat":
            return {**found, "max_new_tokens": 8}
        found |= {key: size for key, size in SMALL.items() if key in given}
        found |= PREDICTED if given.get("do_predict") else TRAINED
        found["output_dir"] = f"saves/{name}"
        if given.get("tokenized_path"):
            found["tokenized_path"] = f"tokenized/{name}"
        unknown = given.get("dataset") and not set(_list(given["dataset"])) <= self.sets
        return {**found, "dataset": "identity"} if unknown else found

    def _model(self, model: str, name: str) -> str:
        """The tiny folder that stands for a model: of its family, quantized as it is."""
        method = next((kind for mark, kind in QUANTIZED.items() if mark in model), "")
        return str(self.work / "models" / (method or self._family(model, name)))

    def _family(self, model: str, name: str = "") -> str:
        if PICTURES.search(model) or PICTURES.search(name):
            return "qwen3_vl"
        family = re.search("qwen3|qwen2", model, re.IGNORECASE)
        return family[0].lower() if family else "llama"

    def prepare(self) -> None:
        """The tiny models, and an adapter of each family that examples name one of."""
        from tests.examples_models import save, save_adapter

        for family in ("qwen3", "qwen2", "llama", "qwen3_vl", *QUANTIZED.values()):
            save(family, self.work / "models" / family)
        for family in ("qwen3", "llama", "qwen3_vl"):
            save_adapter(self.work / "models" / family, self.work / "saves" / family)
        prepare()

    def check(self, name: str) -> Result:
        """What the checks before a start say."""
        if name in SCRIPTS:
            return Result("–", (SCRIPTS[name],))
        heard = StringIO()
        try:
            with redirect_stderr(heard):
                parse_values(*self.words(name))
        except TuneboardError as error:
            return Result("refused", tuple(self._plain(one.text()) for one in error.problems))
        return Result("accepted", self._idle(heard.getvalue()))

    def run(self, name: str) -> Result:
        """What becomes of the real command."""
        if name in SCRIPTS:
            return Result("–", (SCRIPTS[name],))
        done = self.start(*self.words(name))
        if done.returncode == 0:
            return Result("runs", self._idle(done.stderr))
        errors = re.findall(r"^error: (.*)$", done.stderr, re.MULTILINE)
        if done.returncode in REFUSED and errors:
            return Result("refused", tuple(map(self._plain, errors)))
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        return Result("failed", (self._plain(f"exit code {done.returncode}: {last}"),))

    def start(self, task: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        """The command in the checkout, one question on its standard input."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "backend", task, *words],
            cwd=self.checkout,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            input="Hello\n",
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def _idle(self, heard: str) -> tuple[str, ...]:
        """Notices about arguments that change nothing; what depends on the machine is left out."""
        notices = re.findall(r"^note: (.*has no effect here.*)$", heard, re.MULTILINE)
        return tuple(self._plain(one) for one in notices)

    def _plain(self, text: str) -> str:
        text = text.replace(str(self.work), "WORK").replace(str(self.checkout), "CHECKOUT")
        return re.sub(r"^examples/\S+?:(\d+): ", r"line \1: ", text)


def _list(value: object) -> list[str]:
    return [part.strip() for part in str(value).split(",")]


def _pairs(values: dict[str, object]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in values.items())


def page(rows: dict[str, str], commit: str) -> str:
    """The table as Markdown; `commit` is that of the checkout, with its date."""
    count = {key: sum(f" | {key} | " in row for row in rows.values()) for key in COUNTED}
    lines = [
        "# LLaMA-Factory's examples",
        "",
        "Written by `python -m tests.examples CHECKOUT --run`: each file of LLaMA-Factory's",
        f"`examples/` ({', '.join(FOLDERS)}; checkout {commit})",
        "is given to `tuneboard` as it is, on a machine without a GPU (DeepSpeed is installed,",
        "gptqmodel is not). Only model (a tiny random one of the family), sizes and paths are",
        "other ones, and the data set where the checkout has none of the name. "
        f"{count['runs']} run; {count['refused']} are",
        "refused before anything is loaded, with what is said then.",
        "`WORK` and `CHECKOUT` stand for folders.",
        "",
        "| example | here | what is said |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *rows.values()]) + "\n"


def _row(name: str, result: Result) -> str:
    said = "<br>".join(one.replace("|", "\\|").replace("<", "&lt;") for one in result.said)
    return f"| {name} | {result.outcome} | {said} |"


def _written() -> dict[str, str]:
    """The rows of the page as it is, by the name of the example."""
    text = PAGE.read_text(encoding="utf-8")
    return {row[2]: row[1] for row in re.finditer(r"^(\| (\S+/\S+) \| .*)$", text, re.MULTILINE)}


def _commit(checkout: Path) -> str:
    line = ["git", "-C", str(checkout), "log", "-1", "--format=%h of %cs"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def main(argv: Sequence[str]) -> int:
    """Walk the examples; 1 where one failed that was not refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.examples", description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--run", action="store_true")
    asked = parser.parse_intermixed_args(argv)
    with tempfile.TemporaryDirectory() as work:
        examples = Examples(asked.checkout.resolve(), Path(work))
        os.environ |= {"TUNEBOARD_HOME": work, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        os.chdir(examples.checkout)
        examples.prepare()
        results = {}
        for name in asked.names or examples.names():
            results[name] = (examples.run if asked.run else examples.check)(name)
            print(f"{name:45}{results[name].outcome:10}{' '.join(results[name].said)}", flush=True)
    if asked.run:
        rows = _written() if asked.names else {}
        rows |= {name: _row(name, result) for name, result in results.items()}
        ordered = {name: rows[name] for name in examples.names() if name in rows}
        PAGE.write_text(page(ordered, _commit(asked.checkout)), encoding="utf-8")
    return int(any(one.outcome == "failed" for one in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
