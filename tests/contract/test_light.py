"""The page process never loads the training stack, nor does the command before it must."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes"}


PROBE = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def loaded(*modules: str, cwd: Path = ROOT) -> list[set[str]]:
    """The packages that one process has loaded after each of the modules, imported in turn."""
    argv = [sys.executable, "-c", PROBE, *modules]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


def test_no_heavy_module() -> None:
    """The lightest one first: what one of them brings is seen from there on."""
    modules = ("backend.running.supervisor", "backend.__main__", "app.ui", "app.web.server")
    packages = loaded(*modules)
    heavy = {module: names & HEAVY for module, names in zip(modules, packages, strict=True)}
    assert heavy == {module: set() for module in modules}
    assert "backend" in packages[0]
    assert {"app", "gradio"} <= packages[2]
    slow = {"gradio", "psutil", "numpy", "pandas"}
    assert not packages[0] & slow, "the supervisor starts with the standard library only"


def test_the_probe_sees_a_heavy_module(tmp_path: Path) -> None:
    """A stand-in, imported by a module as the real torch would be."""
    (tmp_path / "torch.py").touch()
    (tmp_path / "light.py").touch()
    (tmp_path / "careless.py").write_text("import torch")
    first, second = loaded("light", "careless", cwd=tmp_path)
    assert not first & HEAVY
    assert second & HEAVY == {"torch"}
