"""The Tuner with real children and a tiny model: the lines that the documents show."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTER = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """A working folder in which the tiny model lies where the starter model would."""
    home: Path = tmp_path_factory.mktemp("tuner")
    shutil.copytree(tiny_model_dir, home / "saves" / "models" / STARTER)
    return home


def python(code: str, home: Path) -> str:
    """What a program prints in a working folder of its own."""
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", ["README.md", "docs/PYTHON.md"])
def test_the_lines_of_the_documents_run(document: str, folder: Path) -> None:
    """As they stand; only the export of the one is in the way of the other's."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) == 1
    shutil.rmtree(folder / "saves" / "models" / "mine", ignore_errors=True)
    printed = python(blocks[0] + "\nprint(tuner.run)\n", folder)
    assert "rouge-l" in printed or "SUCCEEDED" in printed
    assert (folder / "saves" / "models" / "mine" / "model.safetensors").is_file()
    run = Path(printed.splitlines()[-1])
    assert run.is_relative_to(folder / "saves" / STARTER / "lora")
    assert (run / "adapter_model.safetensors").is_file()
