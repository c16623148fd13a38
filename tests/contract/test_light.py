"""The page process never loads the training stack, nor does the command before it must."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes")


def loaded(code: str) -> set[str]:
    names = "sorted({m.split('.')[0] for m in sys.modules})"
    probe = f"{code}\nimport sys, json; print(json.dumps({names}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module", ["app.ui", "app.server", "backend.__main__", "backend.running.supervisor"]
)
def test_no_heavy_module(module: str) -> None:
    names = loaded(f"import {module}")
    assert module.split(".")[0] in names
    assert not names & set(HEAVY)


def test_the_supervisor_starts_with_the_standard_library_only() -> None:
    assert not loaded("import backend.running.supervisor") & {"gradio", "psutil", "numpy", "pandas"}


def test_the_probe_sees_a_heavy_module() -> None:
    assert "torch" in loaded("import torch")
