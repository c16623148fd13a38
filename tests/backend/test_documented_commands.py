"""The commands of the documents are run as they stand, in their order, with a tiny model."""

import csv
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.conftest import write_dataset
from tests.documented_commands import ROOT, RUN, commands_of, is_held
from tests.fakes import model_hub

ON_THE_HUB = "HuggingFaceTB/SmolLM2-360M"
STARTER = "SmolLM2-135M-Instruct"
CHANCE = random.Random(1)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(7000)]
QUICK = "max_steps: 2\ndataset: identity\ncutoff_len: 64\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """A working folder with what the documents take for granted: the starter model, a file of
    arguments, a CSV file, a set of texts; and with the `tuneboard` of this source."""
    folder: Path = tmp_path_factory.mktemp("documents")
    shutil.copytree(tiny_model_dir, folder / "saves" / "models" / STARTER)
    (folder / "run.yaml").write_text(f"model_name_or_path: saves/models/{STARTER}\n{QUICK}")
    with (folder / "my.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "response"])
        writer.writerows([f"What is {n} + {n}?", f"It is {2 * n}, I think."] for n in range(60))
    program = folder / "bin" / "tuneboard"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m backend "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def hub(home: Path) -> Iterator[str]:
    """The address of a hub with the model that the documents download."""
    with model_hub.serving() as stand_in:
        files = (home / "saves" / "models" / STARTER).iterdir()
        stand_in.models[ON_THE_HUB] = {file.name: file.read_bytes() for file in files}
        yield stand_in.url


def run(command: str, home: Path, hub: str) -> subprocess.CompletedProcess[str]:
    """Type a command into a shell in the working folder."""
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    places = {"TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HOME": str(home / "hf")}
    online = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    env = {**os.environ, **places, **online, "PATH": path}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=home,
        env=env,
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.timeout(900)
def test_the_commands_of_the_documents_run(home: Path, hub: str) -> None:
    """One chain: what a document makes is what the next ones use."""
    done, failures = 0, []
    for page in RUN:
        if page == "docs/vocabulary.md":
            texts = [{"text": " ".join(CHANCE.choices(WORDS, k=200))} for _ in range(200)]
            write_dataset(home, "my_texts", texts, columns={"prompt": "text"})
        for command in commands_of(page):
            if is_held(command):
                continue
            end = run(command, home, hub)
            if end.returncode:
                failures.append(f"{page}: {command}\n{end.stdout[-2000:]}{end.stderr}")
            done += 1
    assert failures == []
    assert done > 20
