"""A real llama.cpp, if tests/install_llama_cpp.sh has installed one: what it reads and answers."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / ".llama_cpp" / "node_modules" / "node-llama-cpp" / "dist" / "index.js"
LIBRARIES = ROOT / ".llama_cpp" / "node_modules" / "@node-llama-cpp"
needs_llama_cpp = pytest.mark.skipif(
    not LIBRARY.is_file(), reason="no llama.cpp here: tests/install_llama_cpp.sh installs one"
)


@dataclass(frozen=True)
class Reading:
    """The ids of a text, the likeliest id behind each of them, and the answer after the last."""

    tokens: list[int]
    top: list[int]
    answer: list[int]
    text: str


def read(file: Path, text: str, count: int = 1, adapter: Path | None = None) -> Reading:
    """What llama.cpp makes of a text, with `count` generated tokens at most."""
    return read_each([file], text, count, adapter)[0]


def read_each(
    files: Sequence[Path], text: str, count: int = 1, adapter: Path | None = None
) -> list[Reading]:
    """The same of each of these files, in one process."""
    request = {
        "library": str(LIBRARY.resolve()),
        "files": [str(file) for file in files],
        "adapter": str(adapter) if adapter else None,
        "text": text,
        "count": count,
    }
    script = Path(__file__).with_name("llama_cpp.mjs")
    environment = {key: value for key, value in os.environ.items() if key != "NODE_OPTIONS"}
    result = subprocess.run(
        ["node", str(script), json.dumps(request)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()[-len(files) :]
    return [Reading(**json.loads(line)) for line in lines]
